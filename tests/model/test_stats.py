"""The values of `JobWatcher.stats()`."""

from __future__ import annotations

import pytest

from pollwise.model.stats import Histogram


def test_histograms_are_added_bucket_by_bucket() -> None:
    """Two watchers of one endpoint have one histogram."""
    one = Histogram(bounds=(1.0, 2.0), counts=(1, 2, 3), sum_s=9.0)
    assert one + one == Histogram(bounds=(1.0, 2.0), counts=(2, 4, 6), sum_s=18.0)
    assert (one + one).count == 12


def test_histograms_with_other_bounds_are_not_added() -> None:
    """A sum of other bounds would be wrong."""
    one = Histogram(bounds=(1.0,), counts=(1, 0), sum_s=1.0)
    with pytest.raises(ValueError, match="other bounds"):
        _ = one + Histogram(bounds=(2.0,), counts=(1, 0), sum_s=1.0)
