from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.input_lines import MAX_LINE_BYTES
from pollwise.cli.jobs_file import BadRow, Format, JobRow, reader_for


def read(data: bytes | str, form: Format = "jsonl", endpoint: str | None = None, size: int = 1 << 16) -> list[Any]:
    reader = reader_for(form, endpoint)
    data = data.encode() if isinstance(data, str) else data
    found = [row for place in range(0, len(data), size) for row in reader.feed(data[place : place + size])]
    return [*found, *reader.end()]


def deletion(line: int, task_id: str = "t", **rest: Any) -> JobRow:
    return JobRow(line=line, endpoint="document360", keys={"task_id": task_id}, rest=rest)


def extraction(line: int, file_id: str = "f", job_id: str = "j", **rest: Any) -> JobRow:
    return JobRow(line=line, endpoint="oracle-content", keys={"file_id": file_id, "job_id": job_id}, rest=rest)


D = '{"endpoint": "document360", "task_id": "t"}'
E = '{"endpoint": "oracle-content", "file_id": "f", "job_id": "j"}'


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        ("", []),
        (D, [deletion(1)]),
        (f"{D}\n{E}\n", [deletion(1), extraction(2)]),
        (f"\n  \n{D}\r\n\r\n{E}\r\n", [deletion(3), extraction(5)]),
        (b"\xef\xbb\xbf" + D.encode(), [deletion(1)]),
        ('{"task_id":"t","endpoint":"document360","deep":{"a":[null]}}', [deletion(1, deep={"a": [None]})]),
        (
            '{"endpoint":"document360","task_id":"t","n":12345678901234567890123}',
            [deletion(1, n=12345678901234567890123)],
        ),
        ('{"endpoint":"document360","task_id":"日本/%2F ?#"}', [deletion(1, "日本/%2F ?#")]),
        ('{"endpoint":"document360","task_id":"t","file_id":null}', [deletion(1)]),
    ],
)
def test_json_lines(data: str | bytes, rows: list[JobRow]) -> None:
    """A row is an object in a line. Blank lines, a BOM and both line ends are accepted. Other fields are kept."""
    assert read(data) == rows


@pytest.mark.parametrize(
    ("line", "states"),
    [
        ("{", "not JSON: "),
        ("[]", "expected one JSON object a line, got []"),
        ('"x"', "expected one JSON object a line"),
        ("{}", "it names no endpoint; add `endpoint`, or say --endpoint"),
        ('{"endpoint": null, "task_id": "t"}', "it names no endpoint"),
        ('{"endpoint": "oracle", "task_id": "t"}', "there is no endpoint 'oracle'; there are document360 and oracle"),
        ('{"endpoint": ["document360"], "task_id": "t"}', "there is no endpoint"),
        ('{"endpoint": "document360"}', "it has no task_id, which document360 needs"),
        ('{"endpoint": "oracle-content"}', "it has no file_id and no job_id"),
        ('{"endpoint": "oracle-content", "file_id": "f", "job_id": null}', "it has no job_id"),
        (
            '{"endpoint": "document360", "task_id": "t", "job_id": "j"}',
            "it has job_id, which document360 does not know",
        ),
        ('{"endpoint": "document360", "task_id": 7}', "task_id must be a str, got int"),
        ('{"endpoint": "document360", "task_id": ""}', "task_id must have 1 to 1024 characters"),
        ('{"endpoint": "document360", "task_id": ".."}', "task_id must not be '..'"),
        ('{"endpoint": "document360", "task_id": "a\\u0000b"}', "control characters"),
        ('{"endpoint": "document360", "task_id": "\\ud800"}', "lone surrogates"),
        ('{"endpoint": "document360", "task_id": "t", "task_id": "u"}', "'task_id' is there twice"),
        ('{"endpoint": "document360", "task_id": "t", "x": NaN}', "NaN is no JSON"),
        ('{"endpoint": "document360", "task_id": "t", "x": 1e999}', "1e999 is too large a number"),
        (
            '{"endpoint": "document360", "task_id": "t", "x": ' + "9" * 5000 + "}",
            "a whole number in it has too many digits",
        ),
        ('{"a":' * 100_000, "nested too deeply"),
        ("\0" * 300, "not JSON"),
        (f'{{"x": "{"y" * MAX_LINE_BYTES}"}}', "longer than 1 MiB"),
    ],
)
def test_bad_json_rows(line: str, states: str) -> None:
    """Every kind of mistake is reported with its line, and the rows around it are read."""
    found = read(f"{D}\n{line}\n{E}\n")
    assert (found[0], found[2]) == (deletion(1), extraction(3))
    assert isinstance(found[1], BadRow)
    assert found[1].line == 2
    assert states in found[1].reason


def test_bytes_that_are_no_text() -> None:
    """Invalid UTF-8 is reported with its position."""
    assert read(b'{"endpoint": "\xff"}') == [BadRow(1, "not UTF-8: byte 15 of the line is 0xff")]


@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("text", [f"{D}\n{D}\n", "endpoint,task_id\ndocument360,t\ndocument360,u\n"])
def test_another_unicode(coding: str, form: Format, text: str) -> None:
    """A file in UTF-16 or UTF-32 without a BOM is reported once, with what to do about it."""
    data = text.encode(coding)
    reason = "this file is UTF-16 or UTF-32 without a byte order mark, or no text; save it as UTF-8"
    assert read(data, form) == [BadRow(1, reason)]


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 1 << 16])
def test_every_unicode_with_a_bom(coding: str, size: int) -> None:
    """UTF-8, UTF-16 and UTF-32 with a BOM are read, in pieces of any size. Spreadsheets and shells write them."""
    mark = "" if coding == "utf-8-sig" else "\ufeff"
    lines = f'{mark}{{"endpoint":"document360","task_id":"日本"}}\r\n{D}\n'
    assert read(lines.encode(coding), size=size) == [deletion(1, "日本"), deletion(2)]
    table = f"{mark}endpoint\ttask_id\tnote\r\ndocument360\tt\tgrün\r\n\r\n"
    assert read(table.encode(coding), "csv", size=size) == [deletion(2, note="grün")]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("size", [1, 3, 1 << 16])
def test_a_bom_that_is_wrong(form: Format, size: int) -> None:
    """Bytes that are not valid in the encoding of their BOM are reported once, with their line, in pieces of any size."""
    data = b"\xff\xfe" + "endpoint,task_id\n".encode("utf-16-le") + b"\x00\xd8\x00\xd8" + b"x" * 99
    found = read(data, form, size=size)
    assert found[-1] == BadRow(2, "not UTF-16, which its first bytes say that it is")
    assert len([row for row in found if "UTF-16" in row.reason]) == 1


def test_concatenated_files() -> None:
    """Each of several concatenated files may begin with a BOM."""
    assert read(f"\ufeff{D}\n\ufeff{E}\n") == [deletion(1), extraction(2)]


@pytest.mark.parametrize("text", [f"[{D},\n{D}]", f"[\n{D},\n{D}\n]\n", f"\n [ {D} ]", f"[{D}]"])
def test_an_array_is_reported_once(text: str) -> None:
    """The message has the command that converts the array to lines."""
    (found,) = read(text)
    assert found.reason == "this file is a JSON array; write one object a line, as jq -c '.[]' FILE does"


def test_an_endpoint_for_all_rows() -> None:
    """A row without an endpoint gets the one of `--endpoint`. A row with an endpoint keeps its own."""
    rows = read(f'{{"task_id": "t"}}\n{E}', endpoint="document360")
    assert rows == [deletion(1), extraction(2)]
    assert read("task_id\nt\n", "csv", "document360") == [deletion(2)]


HEAD = "endpoint,task_id,file_id,job_id,note\n"


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (HEAD, []),
        (f"{HEAD}document360,t,,,\n", [deletion(2)]),
        (f"{HEAD}oracle-content,,f,j,hello\r\n\r\n", [extraction(2, note="hello")]),
        (f'{HEAD}document360,"t,1",,,"say ""hi"""\n', [deletion(2, "t,1", note='say "hi"')]),
        (
            f'{HEAD}document360,t,,,"two\nlines\n"\ndocument360,u,,,\n',
            [deletion(2, note="two\nlines\n"), deletion(5, "u")],
        ),
        ("\ufeffendpoint;task_id\ndocument360;t\n", [deletion(2)]),
        ("endpoint\ttask_id\ndocument360\tt\n", [deletion(2)]),
        (" endpoint , task_id \ndocument360,t\n", [deletion(2)]),
        ("endpoint,task_id,,\ndocument360,t,,\n", [deletion(2)]),
        ("\n\nendpoint,task_id\ndocument360,t", [deletion(4)]),
        (f"{HEAD}document360,t,,,\n,,,,\n,,,,\r\n", [deletion(2)]),
        (f'{HEAD}"","","",,\ndocument360,t,,,', [deletion(3)]),
        ("sep=;\nendpoint;task_id\ndocument360;t,u\n", [deletion(3, "t,u")]),
        ("\ufeffsep=,\r\nendpoint,task_id\r\ndocument360,t\r\n", [deletion(3)]),
    ],
)
def test_csv(data: str, rows: list[JobRow]) -> None:
    """The first row names the columns. Quoting is that of RFC 4180. Empty cells are ignored."""
    assert read(data, "csv") == rows


@pytest.mark.parametrize(
    ("data", "line", "states"),
    [
        ("", 1, "there is no first row"),
        (
            "a,b\n1,2\n",
            1,
            "the first row must name the columns, such as endpoint, file_id, job_id, task_id; it names a, b",
        ),
        ("task_id,x,x\n", 1, "two columns are called 'x'"),
        (f"{HEAD},t,,,\n", 2, "it names no endpoint"),
        (f"{HEAD}document360,t\n", 2, "it has 2 fields, and the first row names 5"),
        (f"{HEAD}document360,t,,,,\n", 2, "it has 6 fields"),
        (f"{HEAD}document360\n", 2, "it has 1 field, and the first row names 5"),
        ("endpoint,task_id,\ndocument360,t,x\n", 2, "'x' stands in a column without a name"),
        (f'{HEAD}document360,"t"x,,,\n', 2, "not CSV"),
        (f'{HEAD}document360,a"b,,,\nx"y\n', 2, "a quote stands inside a field"),
        (f"{HEAD}document360,a\rb,,,\n", 2, "not CSV: a line ends in CR alone"),
        (f"{HEAD}document360,t\0,,,\n", 2, "control characters"),
        (f"{HEAD}document360,{'x' * 200_000},,,\n", 2, "field larger than field limit"),
    ],
)
def test_bad_csv_rows(data: str, line: int, states: str) -> None:
    """A mistake is reported with its line. A first row without known columns is reported once, not for each row."""
    bad = [row for row in read(data, "csv") if isinstance(row, BadRow)]
    assert len(bad) == 1
    assert bad[0].line == line
    assert states in bad[0].reason


def test_a_quote_that_is_never_closed() -> None:
    """Only its own line is bad. The rows after it are still read, so that all mistakes are reported at once."""
    data = f'{HEAD}document360,"t,,,\ndocument360,u,,,\ndocument360,,,,\n'
    found = read(data, "csv")
    assert found[0] == BadRow(2, "a quote is opened here and never closed")
    assert found[1] == deletion(3, "u")
    assert isinstance(found[2], BadRow)
    many = f'{HEAD}document360,"t,,,\n' + "document360,u,,,\n" * 80_000  # more than one record may hold
    found = read(many, "csv")
    assert found[0] == BadRow(2, "a quote is opened here and never closed")
    assert len(found) == 80_001
    assert found[-1] == deletion(80_002, "u")


@given(st.lists(st.text(max_size=20), max_size=4), st.integers(1, 7))
def test_how_a_csv_file_arrives_changes_nothing(cells: list[str], size: int) -> None:
    """Pieces of any size give the same rows and the same errors."""
    data = f"{HEAD}{','.join(cells)}\ndocument360,t,,,\n".encode("utf-8", "replace")
    assert read(data, "csv", size=size) == read(data, "csv")


@given(st.binary(max_size=300), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_give_rows(data: bytes, form: Format) -> None:
    """Any bytes give good rows or bad rows, and no exception."""
    assert all(isinstance(row, JobRow | BadRow) for row in read(data, form))
