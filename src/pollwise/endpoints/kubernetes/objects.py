"""The values of Kubernetes that a wait is about: the name of an object, the object itself, and its conditions.

Rule 1: the whole object is kept, in a ledger, too, because a wait may be for any part of it. Every other value is taken from it.
Rule 2: these values inform. A part that has another type than Kubernetes documents is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from pollwise.endpoints._address import checked_id, one_segment

__all__ = ["Condition", "Resource", "ResourceOrder", "ResourceStatus", "int_in", "text_in"]


def _empty_or_one_segment(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value != "":
        checked_id(field.name, value)


@attrs.frozen
class Resource:
    """An object in a cluster.

    Args:
        name: Its name.
        namespace: Its namespace. Empty for an object of the whole cluster, such as a node.
        uid: Its UID, if another object of the same name is not meant. Empty for any object of that name.

    Raises:
        ConfigurationError: `name` or `namespace` cannot be one segment of a path. It is a ValueError.
    """

    name: str = attrs.field(validator=one_segment)
    namespace: str = attrs.field(default="", validator=_empty_or_one_segment)
    uid: str = attrs.field(default="", validator=_empty_or_one_segment)


@attrs.frozen
class ResourceOrder:
    """An object to create.

    Args:
        manifest: The whole object as JSON, such as a parsed manifest. It needs `metadata.name` or `metadata.generateName`.
        namespace: Where to create it, if `metadata.namespace` does not say.
    """

    manifest: Mapping[str, Any] = attrs.field(repr=False)
    namespace: str = attrs.field(default="", validator=_empty_or_one_segment)


@attrs.frozen(kw_only=True)
class Condition:
    """A condition of an object (API conventions, "Typical status properties"). A field that is absent is None.

    Attributes:
        type: What it is about: `Ready`, `Complete`.
        status: `True`, `False` or `Unknown`, as a text.
        reason: A word for programs.
        message: A text for people. Untrusted.
        last_transition_time: When `status` changed last, as in RFC 3339.
        observed_generation: The generation of the object that it is about.
    """

    type: str | None = None
    status: str | None = None
    reason: str | None = None
    message: str | None = None
    last_transition_time: str | None = None
    observed_generation: int | None = None


@attrs.frozen
class ResourceStatus:
    """An object, or its absence.

    Attributes:
        document: The whole object as JSON. None if the cluster has no such object.
    """

    document: Mapping[str, Any] | None

    @property
    def exists(self) -> bool:
        """Whether the cluster has the object."""
        return self.document is not None

    @property
    def uid(self) -> str | None:
        """`metadata.uid`."""
        return text_in(self.document, "metadata", "uid")

    @property
    def phase(self) -> str | None:
        """`status.phase`, which pods, claims and namespaces have."""
        return text_in(self.document, "status", "phase")

    @property
    def generation(self) -> int | None:
        """`metadata.generation`: it rises with each change of the desired state."""
        return int_in(self.document, "metadata", "generation")

    @property
    def observed_generation(self) -> int | None:
        """`status.observedGeneration`: the generation that the status is about."""
        return int_in(self.document, "status", "observedGeneration")

    @property
    def is_being_deleted(self) -> bool:
        """Whether a deletion was accepted (`metadata.deletionTimestamp`)."""
        return text_in(self.document, "metadata", "deletionTimestamp") is not None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """`status.conditions`, in the order of the reply."""
        found = _at(self.document, "status", "conditions")
        return tuple(_condition(item) for item in found if isinstance(item, dict)) if isinstance(found, list) else ()

    def condition(self, name: str) -> Condition | None:
        """The first condition of this type, whatever its letter case, or None."""
        wanted = name.casefold()
        return next((item for item in self.conditions if item.type and item.type.casefold() == wanted), None)


def _condition(data: dict[str, Any]) -> Condition:
    return Condition(
        type=text_in(data, "type"),
        status=text_in(data, "status"),
        reason=text_in(data, "reason"),
        message=text_in(data, "message"),
        last_transition_time=text_in(data, "lastTransitionTime"),
        observed_generation=int_in(data, "observedGeneration"),
    )


def _at(document: object, *path: str) -> Any:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document


def text_in(document: object, *path: str) -> str | None:
    """The text at a path of keys, or None."""
    found = _at(document, *path)
    return found if isinstance(found, str) else None


def int_in(document: object, *path: str) -> int | None:
    """The whole number at a path of keys, or None."""
    found = _at(document, *path)
    return found if type(found) is int else None
