"""Starting the deletion of a file in Document360."""

from __future__ import annotations

import orjson
import pytest

from pollwise import Reply
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob, DeleteFileOrder
from pollwise.errors import ConfigurationError, MalformedReply, Problem, RequestRejected

ENDPOINT = DeleteFileEndpoint("https://api.example.com/eu")
ORDER = DeleteFileOrder(folder_id="F/1", file_id="a b")
ENVELOPE = {"extension_data": None, "success": True, "errors": [], "warnings": [], "information": []}


def started(**fields: object) -> DeleteFileJob:
    return ENDPOINT.read_submitted(ORDER, Reply(200, {}, orjson.dumps({**ENVELOPE, **fields})))


def test_the_request_deletes_one_file() -> None:
    """It is the documented DELETE, with each ID as one segment of the path. It is not sent again after a lost reply."""
    request = ENDPOINT.submit_request(ORDER, "key")
    assert (request.method, str(request.url)) == ("DELETE", "https://api.example.com/eu/v2/Drive/Folders/F%2F1/a%20b")
    assert (request.is_idempotent, request.body, dict(request.headers)) == (False, None, {})


@pytest.mark.parametrize("more", [{}, {"success": False}, {"errors": [{"description": "one warning"}]}])
def test_the_task_in_the_reply_is_the_job(more: dict[str, object]) -> None:
    """A reply that names its task is watched, whatever else it says."""
    assert started(task_id="65868a00c536f34594713fec", **more) == DeleteFileJob("65868a00c536f34594713fec")
    assert started(task_id=7, **more) == DeleteFileJob("7")


def test_a_refusal_in_a_good_reply_has_the_vendors_words() -> None:
    """Without a task, an error or `success` false is the refusal of the request."""
    with pytest.raises(RequestRejected) as caught:
        started(task_id=None, success=False, errors=[{"description": "no such file", "error_code": "400"}])
    assert caught.value.problem == Problem(codes=("400",), descriptions=("no such file",))
    assert caught.value.job == "the deletion of file a b"


@pytest.mark.parametrize("task_id", [None, "", "..", "a\nb", True, ["x"]])
def test_a_reply_without_a_task_is_malformed(task_id: object) -> None:
    """What can be no ID is told as such."""
    with pytest.raises(MalformedReply, match="field task_id: expected the ID of the started job"):
        started(task_id=task_id)


def test_an_id_that_means_another_path_is_refused() -> None:
    """Where the order is made."""
    with pytest.raises(ConfigurationError, match="file_id"):
        DeleteFileOrder(folder_id="F", file_id="..")
