"""`Shard`: the watches of one endpoint and account, which one process owns at a time.

Rule: a shard is the first part of a watch's identity, and the key of one rate budget. It has no credential.
"""

from __future__ import annotations

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["Shard"]


def _text(_instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{attribute.name} must be a text; got {value!r}")


@attrs.frozen(order=True)
class Shard:
    """The watches of one endpoint and account. Shards are in the order of their endpoint, then of their account.

    Args:
        endpoint: The endpoint's name.
        account: The account of its jobs, where the endpoint has several; else an empty text.

    Raises:
        ConfigurationError: One of them is not a text.
    """

    endpoint: str = attrs.field(validator=_text)
    account: str = attrs.field(default="", validator=_text)

    def __str__(self) -> str:
        return f"{self.endpoint}/{self.account}" if self.account else self.endpoint
