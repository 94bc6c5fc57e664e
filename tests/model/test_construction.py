from __future__ import annotations

import copy
import pickle
from typing import Any, Generic, TypeVar

import attrs
import pytest

from pollwise.endpoints.oracle_content import ExtractionItem, ExtractionStatus
from pollwise.model.construction import fast_constructor
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Phase, Reading

S = TypeVar("S")


@attrs.frozen(weakref_slot=False)
class Pair(Generic[S]):
    left: S
    right: list[int] = attrs.field(factory=list, kw_only=True)


@attrs.frozen(kw_only=True, weakref_slot=False)
class Base:
    first: int = 1


@attrs.frozen(kw_only=True, weakref_slot=False)
class Derived(Base):
    second: int


@pytest.mark.parametrize(
    ("made", "arguments"),
    [
        (Pair, {"left": 1, "right": [2]}),
        (Derived, {"first": 3, "second": 2}),
        (Reading, {"status": "s", "phase": Phase.RUNNING, "fraction": 0.5}),
        (Reply, {"status": 200, "headers": {}, "body": b"{}"}),
        (Request, {"url": "u", "method": "GET"}),
        (ExtractionItem, {"id": "a.txt"}),
        (ExtractionStatus, {"progress": "x", "completed": False, "completed_percentage": 3, "message": "m"}),
    ],
)
def test_a_made_value_is_the_classes_own(made: type[Any], arguments: dict[str, Any]) -> None:
    """The same class, fields, defaults, equality, text, copies and pickles as the class itself would make."""
    usual, quick = made(**arguments), fast_constructor(made, checked=made is not Reading)(**arguments)
    assert type(quick) is made
    assert quick == usual
    assert repr(quick) == repr(usual)
    assert copy.copy(quick) == attrs.evolve(quick) == pickle.loads(pickle.dumps(quick)) == usual  # noqa: S301 - our own


def test_a_made_value_is_frozen() -> None:
    """What is made can be changed as little as any other value."""
    pair = fast_constructor(Pair)(1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        pair.left = 2  # type: ignore[misc]
    assert pair.left == 1
    derived = fast_constructor(Derived)(second=2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        derived.first = 2  # type: ignore[misc]


def test_each_value_has_its_own_defaults() -> None:
    """A default that a factory makes is made for each value."""
    make = fast_constructor(Pair)
    make(1).right.append(3)
    assert make(1).right == []


def test_arguments_are_checked_as_by_the_class() -> None:
    """A missing, an unknown and a positional keyword-only argument are refused."""
    for arguments, keywords in (((), {}), ((1,), {"middle": 2}), ((1, [2]), {})):
        with pytest.raises(TypeError):
            fast_constructor(Pair)(*arguments, **keywords)


def test_only_the_named_fields_may_be_left_out() -> None:
    """Of the rest each must be given, by its place or its name; those are given by name."""
    assert (
        fast_constructor(Pair, defaults=())(1, [2])
        == fast_constructor(Pair, defaults=())(right=[2], left=1)
        == Pair(1, right=[2])
    )
    assert fast_constructor(Pair, defaults={"right"})(1) == Pair(1)
    for make, arguments in (
        (fast_constructor(Pair, defaults=()), (1,)),
        (fast_constructor(Pair, defaults={"right"}), (1, [2])),
    ):
        with pytest.raises(TypeError):
            make(*arguments)


@attrs.frozen(weakref_slot=False)
class Checked:
    size: int = attrs.field(validator=attrs.validators.instance_of(int))


@attrs.frozen(weakref_slot=False)
class Converted:
    size: int = attrs.field(converter=int)


@attrs.frozen(weakref_slot=False)
class Busy:
    size: int

    def __attrs_post_init__(self) -> None:
        pass


@attrs.frozen
class Referred:
    size: int


@pytest.mark.parametrize("made", [Checked, Converted, Busy])
def test_a_class_that_does_more_is_refused(made: type[Any]) -> None:
    """No validator, converter or post-init is ever passed by."""
    with pytest.raises(TypeError, match=f"{made.__name__} does more"):
        fast_constructor(made)


def test_a_class_of_other_slots_is_refused() -> None:
    """CPython would refuse each single value; the maker says so at once, and what to do."""
    with pytest.raises(TypeError, match="weakref_slot=False"):
        fast_constructor(Referred)
