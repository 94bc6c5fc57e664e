"""Every input of the corpora, without a fuzzer."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz_targets import TARGETS

CORPUS = Path(__file__).with_name("corpus")
INPUTS = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_property_holds_for_each_input_of_its_corpus(path: Path) -> None:
    """What fuzzing has found, and the samples that it began with, break nothing."""
    TARGETS[path.parent.name].check(path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    """And every corpus belongs to a target."""
    assert {path.parent.name for path in INPUTS} == set(TARGETS)
