"""Makes parsed replies for a waiter, from its expressions alone: any values, and such as its rules look for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath

_OTHERS = ("other", "", None, True, False, 0, 1, 2)


class _Place:
    """What a place of a reply has to be: an object with members, a list, or any value."""

    def __init__(self) -> None:
        self.members: dict[str, _Place] = {}
        self.items: _Place | None = None

    def member(self, name: str) -> _Place:
        return self.members.setdefault(name, _Place())

    def item(self) -> _Place:
        self.items = self.items or _Place()
        return self.items


class _Projected:
    """The result of a projection: a list of what each item gave."""

    def __init__(self, each: _Place) -> None:
        self.each = each


def replies_for(config: Mapping[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Replies for a waiter's rules: one full of each word that the rules look for, `count` random ones, and errors."""
    root, words = _Place(), set[Any]()
    for rule in config["acceptors"]:
        if not isinstance(rule["expected"], bool):
            words.add(rule["expected"])
        if rule["matcher"].startswith("path"):
            _visit(jmespath.compile(rule["argument"]).parsed, root, words)
    vocabulary = [*sorted(words, key=repr), *_OTHERS]
    # Few different values in one reply, so that all items of a list are often equal.
    choices = [[word] for word in vocabulary] + [random.sample(vocabulary, k=1 + number % 3) for number in range(count)]
    for number, own in enumerate(choices):
        whole = number < len(vocabulary)
        data = {name: _made(member, own, whole=whole) for name, member in root.members.items()}
        yield {**data, "ResponseMetadata": {"HTTPStatusCode": 200}}
    yield {"ResponseMetadata": {"HTTPStatusCode": 200}}
    statuses = {rule["expected"] for rule in config["acceptors"] if rule["matcher"] == "status"}
    codes = {str(rule["expected"]) for rule in config["acceptors"] if rule["matcher"] == "error"}
    for status in sorted(statuses | {400, 500}):
        for code in sorted(codes | {"Other"}):
            error = {"Code": code, "Message": "no"}
            yield {"Error": error, "ResponseMetadata": {"HTTPStatusCode": status}}


def _made(place: _Place, words: list[Any], *, whole: bool) -> Any:
    """A value for a place. A whole one has all members, and an item in each list."""
    if not whole and random.random() < 0.05:
        return {} if place.members else None
    if place.items is not None:
        return [_made(place.items, words, whole=whole) for _ in range(1 if whole else random.choice((0, 1, 2)))]
    if place.members:
        return {name: _made(member, words, whole=whole) for name, member in place.members.items()}
    return random.choice(words)


def _visit(node: Mapping[str, Any], at: Any, words: set[Any]) -> Any:  # noqa: C901, PLR0911, PLR0912  # a table of the kinds of nodes
    """Note what this part of an expression wants at a place, and return the place of its result."""
    kind, children = node["type"], node["children"]
    if isinstance(at, _Projected):
        at = at.each
    match kind:
        case "field":
            return at.member(node["value"])
        case "literal":
            if isinstance(node["value"], (str, int, float)):
                words.add(node["value"])
            return _Place()
        case "subexpression" | "index_expression" | "pipe":
            for child in children:
                at = _visit(child, at, words)
            return at
        case "projection" | "filter_projection" | "value_projection":
            found = _visit(children[0], at, words)
            if kind == "value_projection":
                each = _place(found).member("any")
            else:
                each = found.each if isinstance(found, _Projected) else found.item()
            if kind == "filter_projection":
                _visit(children[2], each, words)
            return _Projected(_place(_visit(children[1], each, words)))
        case "flatten":
            found = _visit(children[0], at, words)
            return _Projected(found.each.item() if isinstance(found, _Projected) else found.item())
        case "index" | "slice":
            return at.item() if kind == "index" else at
        case "current" | "identity":
            return at
    for child in children:
        _visit(child, at, words)
    return _Place()


def _place(found: Any) -> _Place:
    if isinstance(found, _Projected):
        made = _Place()
        made.items = found.each
        return made
    place: _Place = found
    return place
