"""The manifest of an export: which files it has made, and where they are.

Rule 1: `requiresAccessToken` and the URL of each file decide. Without them there is no manifest. Everything else informs.
Rule 2: a file is named by the page of the manifest that lists it, the list, and the place in the list, because a server may
name it by another URL later ("Bulk Data Output File Request"). It does not change the places.
Rule 3: a manifest of several pages is joined with `+`. It has the values of the first page, and the files of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints._left_out import shortened
from pollwise.endpoints._lenient import lenient_text, lenient_whole_number
from pollwise.endpoints._reader import Reader, ReplyReader
from pollwise.endpoints._server_values import absolute_url, checked_url, without_query
from pollwise.endpoints._strict import Hook, json_value, text, text_or_null, yes_or_no
from pollwise.endpoints._words import camel_case
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Reply

__all__ = [
    "LISTS",
    "MANIFEST",
    "BulkFile",
    "BulkFileJob",
    "BulkManifest",
    "ManifestLink",
    "manifest_in",
    "next_page",
]

LISTS: Final = ("output", "deleted", "outcome", "error")
"""The lists of files. STU 4 has `outcome` in place of `error`."""


def _check_list(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if value not in LISTS:
        raise ConfigurationError(f"{field.name} must be one of {', '.join(LISTS)}")


def _check_index(_instance: object, field: attrs.Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 0:
        raise ConfigurationError(f"{field.name} must be a whole number of at least 0")


@attrs.frozen(kw_only=True)
class BulkFileJob:
    """A file of an export. `BulkFile.job` makes it.

    Args:
        manifest_url: The URL of the page of the manifest that lists the file.
        part: The list: `output`, `deleted`, `outcome` or `error`.
        index: The place in that list, from 0.

    Raises:
        ConfigurationError: An argument is invalid. It is a ValueError.
    """

    manifest_url: str = attrs.field(validator=checked_url, repr=without_query)
    part: str = attrs.field(default="output", validator=_check_list)
    index: int = attrs.field(default=0, validator=_check_index)


@attrs.frozen(kw_only=True, weakref_slot=False)
class BulkFile:
    """A file that a manifest lists. A field that is absent is None.

    Attributes:
        url: Where it is. Untrusted. It may be relative, and may expire.
        type: The type of its resources, such as `Patient`.
        count: The number of its resources.
        file_size: Its size in bytes.
        continues_in_file: The URL of the file that goes on with the last resource's block.
        count_severity: The number of outcomes by severity, as sent.
        extension: As sent.
        manifest_url: The URL of the page that lists the file. This and the next two are not the server's.
        part: The list.
        index: The place in that list.
    """

    url: str = attrs.field(repr=without_query)
    type: str | None = None
    count: int | None = None
    file_size: int | None = None
    continues_in_file: str | None = attrs.field(default=None, repr=without_query)
    count_severity: Any = None
    extension: Any = None
    manifest_url: str = attrs.field(default="", repr=without_query)
    part: str = "output"
    index: int = 0

    @property
    def job(self) -> BulkFileJob:
        """The file as a job of `BulkFileEndpoint`, which fetches it."""
        return BulkFileJob(manifest_url=self.manifest_url, part=self.part, index=self.index)


@attrs.frozen(kw_only=True, weakref_slot=False)
class ManifestLink:
    """A link to a further page of the manifest. Untrusted."""

    relation: str | None = None
    url: str | None = attrs.field(default=None, repr=without_query)


@attrs.frozen(kw_only=True, weakref_slot=False)
class BulkManifest:
    """The manifest of an export, or one page of it. A field that is absent is None, or empty if it is a list.

    Attributes:
        requires_access_token: Whether the files are fetched with the credentials of the export.
        transaction_time: The server's time when it read the data, as in RFC 3339.
        request: The URL of the kick-off request (STU 3).
        manifest_type: The form of the manifest (STU 4).
        output_format: The media type of the files (STU 4).
        output_organized_by: The type of the resources by which the files are organized.
        output_organized_by_detail: More about that (STU 4).
        output: The files with the data.
        deleted: The files with what was deleted since.
        error: The files with messages (STU 3).
        outcome: The files with messages (STU 4).
        link: Links to further pages.
        extension: As sent.
    """

    requires_access_token: bool
    transaction_time: str | None = None
    request: str | None = None
    manifest_type: str | None = None
    output_format: str | None = None
    output_organized_by: str | None = None
    output_organized_by_detail: str | None = None
    output: tuple[BulkFile, ...] = ()
    deleted: tuple[BulkFile, ...] = ()
    error: tuple[BulkFile, ...] = ()
    outcome: tuple[BulkFile, ...] = ()
    link: tuple[ManifestLink, ...] = ()
    extension: Any = None

    def __add__(self, page: BulkManifest) -> BulkManifest:
        """This manifest with the files of the next page."""
        lists = {name: getattr(self, name) + getattr(page, name) for name in LISTS}
        return attrs.evolve(self, **lists, link=page.link)


def _int_or_null(value: object, _type: object = None, /) -> int | None:
    if value is None or type(value) is int:
        return value
    raise ValueError("expected a whole number or null")


_STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool: yes_or_no,
    str: text,
    str | None: text_or_null,
    int: _int_or_null,
    int | None: _int_or_null,
    Any: json_value,
}
_LENIENT_HOOKS: Final[Mapping[Any, Hook]] = {str | None: lenient_text, int | None: lenient_whole_number}
MANIFEST: Final = Reader(
    BulkManifest,
    _STRICT_HOOKS,
    lenient_hooks=_LENIENT_HOOKS,
    main_text={BulkFile: "url", ManifestLink: "url"},
    often_absent=frozenset(field.name for field in attrs.fields(BulkManifest) if field.name != "requires_access_token"),
    wire_name=camel_case,
)


def manifest_in(reply: Reply, reader: ReplyReader[BulkManifest]) -> BulkManifest:
    """The manifest in a reply. Its files know their places. Raises MalformedReply."""
    manifest = reader.read(reply)
    page = "" if reply.request is None else str(reply.request.url)
    lists: dict[str, Any] = {}
    for name in LISTS:
        files: tuple[BulkFile, ...] = getattr(manifest, name)
        if files:
            placed = [attrs.evolve(file, manifest_url=page, part=name, index=index) for index, file in enumerate(files)]
            lists[name] = shortened(placed, getattr(files, "left_out", 0))
    return attrs.evolve(manifest, **lists) if lists else manifest


def next_page(manifest: BulkManifest, reply: Reply) -> str | None:
    """The absolute URL of the next page, or None for the last one. Raises MalformedReply if it is no URL."""
    for link in manifest.link:
        if link.relation == "next":
            url = absolute_url(link.url, reply)
            if url is None:
                raise reply.malformed("the link to the next page of the manifest is no URL")
            return url
    return None
