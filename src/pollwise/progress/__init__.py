"""Progress bars for your program, with rich or tqdm.

    from pollwise.progress import RichBars

    with RichBars() as bars:
        status = await bars.follow(watcher.watch(job))
        async for outcome in bars.outcomes(watcher.as_completed(jobs), total=len(jobs)):
            ...

`TqdmBars` is the same with tqdm, which also draws in notebooks. Both work with `pollwise.sync`. Importing this module imports
neither library: `pip install 'pollwise[rich]'` or `pip install 'pollwise[tqdm]'`.
"""

from __future__ import annotations

from pollwise.progress.bars import Bars
from pollwise.progress.rich_bars import RichBars
from pollwise.progress.tqdm_bars import TqdmBars

__all__ = ["Bars", "RichBars", "TqdmBars"]
