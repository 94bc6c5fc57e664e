"""The request that starts an export ("Bulk Data Kick-off Request").

Rule 1: STU 4 has POST with a Parameters resource. A server of STU 3 must know GET with a query, and may know POST.
Rule 2: a parameter with several values is sent several times. STU 4 allows no values that are joined by commas.
Rule 3: the request is never sent twice, because each one may make an export. That goes for GET, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import attrs
from yarl import URL

from pollwise.endpoints._address import ApiRoot, checked_id, segment
from pollwise.endpoints._starting import json_bytes
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Request

__all__ = ["FHIR_JSON", "SEPARATE", "BulkExportOrder"]

FHIR_JSON: Final = "application/fhir+json"
SEPARATE: Final = "separate-export-status"
_LEVELS: Final = ("system", "patient", "group")
_VALUES: Final[Mapping[str, str]] = {
    "_since": "valueInstant",
    "_until": "valueInstant",
    "allowPartialManifests": "valueBoolean",
    "includeAssociatedData": "valueCode",
}


@attrs.frozen(kw_only=True)
class BulkExportOrder:
    """What to export ("Bulk Data Kick-off Request").

    Args:
        level: `system`, `patient` or `group`.
        group_id: The ID of the group, for the level `group`.
        parameters: The parameters by name, such as `{"_type": ["Patient", "Observation"], "_since": "2026-01-01T00:00:00Z"}`:
            texts, booleans and lists of them. A mapping is a value of FHIR, such as `{"valueCoding": {...}}`, for POST only.
            A text in `includeAssociatedData` is sent as a code, as STU 3 has it. STU 4 has a Coding there, so pass a mapping.
        method: `POST` or `GET`. STU 4 has POST only. A server of STU 3 must know GET, and may know POST.
        separate_status: Whether to ask for a status of the export that is separate from that of the request.
        lenient: Whether the server may ignore parameters that it does not know (`Prefer: handling=lenient`).

    Raises:
        ConfigurationError: An argument is invalid.
    """

    level: str = "system"
    group_id: str = ""
    parameters: Mapping[str, Any] = attrs.Factory(dict)
    method: str = "POST"
    separate_status: bool = False
    lenient: bool = False

    def __attrs_post_init__(self) -> None:
        if self.level not in _LEVELS:
            raise ConfigurationError(f"level must be one of {', '.join(_LEVELS)}, got {self.level!r}")
        if self.method not in {"GET", "POST"}:
            raise ConfigurationError(f"method must be GET or POST, got {self.method!r}")
        if (self.level == "group") != bool(self.group_id):
            raise ConfigurationError("group_id is needed for the level group, and for no other level")
        if self.group_id:
            checked_id("group_id", self.group_id)

    def request(self, root: ApiRoot) -> Request:
        """The request, without credentials. Raises ConfigurationError for a value that cannot be sent."""
        paths = {"patient": "/Patient/$export", "group": f"/Group/{segment(self.group_id)}/$export"}
        url = root.url(paths.get(self.level, "/$export"))
        wishes = ["respond-async", *([SEPARATE] if self.separate_status else [])]
        wishes += ["handling=lenient"] if self.lenient else []
        headers = {"Accept": FHIR_JSON, "Prefer": ", ".join(wishes)}
        if self.method == "GET":
            pairs = [(name, _query_text(name, value)) for name, value in _single(self.parameters)]
            query = urlencode(pairs)
            return Request(URL(f"{url}?{query}" if query else str(url), encoded=True), headers, "GET", idempotent=False)
        parameters = [{"name": name, **_fhir_value(name, value)} for name, value in _single(self.parameters)]
        body = json_bytes({"resourceType": "Parameters", "parameter": parameters})
        return Request(url, {**headers, "Content-Type": FHIR_JSON}, "POST", body, idempotent=False)


def _single(parameters: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The parameters, each as often as it has values."""
    pairs: list[tuple[str, Any]] = []
    for name, value in parameters.items():
        pairs += [(name, item) for item in (value if isinstance(value, (list, tuple)) else [value])]
    return pairs


def _query_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        json_bytes(value, f"parameter {name}")  # a lone surrogate cannot be sent in a query either
        return value
    raise ConfigurationError(f"parameter {name} must be a text, a bool or a list of them, got {type(value).__name__}")


def _fhir_value(name: str, value: object) -> dict[str, Any]:
    """The value of a parameter in a Parameters resource."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, bool):
        return {"valueBoolean": value}
    text = _query_text(name, value)
    return {"valueReference": {"reference": text}} if name == "patient" else {_VALUES.get(name, "valueString"): text}
