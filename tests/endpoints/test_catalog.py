"""The catalog of ready declarations."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise.endpoints.catalog import catalog, from_catalog
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.endpoints.declared.plan import auth_variables
from pollwise.errors import ConfigurationError
from pollwise.http.auth import BearerAuth
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase

SAMPLES = Path(__file__).parents[1] / "samples" / "catalog"
DECLARING = Path(__file__).parents[2] / "docs" / "declaring.md"

STATES: dict[str, tuple[str, dict[str, str]]] = {
    "openai-batch": (
        "status",
        {
            "queued": "validating",
            "running": "in_progress finalizing cancelling",
            "succeeded": "completed",
            "failed": "failed expired",
            "cancelled": "cancelled",
        },
    ),
    "openai-fine-tune": (
        "status",
        {
            "queued": "validating_files queued",
            "running": "running",
            "succeeded": "succeeded",
            "failed": "failed",
            "cancelled": "cancelled",
        },
    ),
    "anthropic-batch": ("processing_status", {"running": "in_progress canceling", "succeeded": "ended"}),
    "replicate": (
        "status",
        {
            "queued": "starting",
            "running": "processing",
            "succeeded": "succeeded",
            "failed": "failed",
            "cancelled": "canceled aborted",
        },
    ),
    "github-run": ("status", {"queued": "queued waiting requested pending", "running": "in_progress"}),
    "github-run conclusion": (
        "conclusion",
        {
            "succeeded": "success neutral skipped",
            "failed": "failure timed_out action_required startup_failure stale",
            "cancelled": "cancelled",
        },
    ),
    "databricks-run": (
        "status.state",
        {"queued": "PENDING QUEUED BLOCKED WAITING", "running": "RUNNING TERMINATING"},
    ),
    "databricks-run code": (
        "status.termination_details.code",
        {
            "succeeded": "SUCCESS SUCCESS_WITH_FAILURES",
            "failed": "BREAKING_CHANGE BUDGET_POLICY_LIMIT_EXCEEDED CLOUD_FAILURE CLUSTER_ERROR"
            " CLUSTER_REQUEST_LIMIT_EXCEEDED CLUSTER_TERMINATED_BY_USER DISABLED DRIVER_ERROR FEATURE_DISABLED"
            " INTERNAL_ERROR INVALID_CLUSTER_REQUEST INVALID_RUN_CONFIGURATION LIBRARY_INSTALLATION_ERROR"
            " MAX_CONCURRENT_RUNS_EXCEEDED MAX_JOB_QUEUE_SIZE_EXCEEDED MAX_SPARK_CONTEXTS_EXCEEDED"
            " REPOSITORY_CHECKOUT_FAILED RESOURCE_NOT_FOUND RUN_EXECUTION_ERROR SKIPPED STORAGE_ACCESS_ERROR"
            " UNAUTHORIZED_ERROR WORKSPACE_RUN_LIMIT_EXCEEDED",
            "cancelled": "CANCELED USER_CANCELED",
        },
    ),
    "salesforce-query": (
        "state",
        {
            "queued": "UploadComplete",
            "running": "InProgress",
            "succeeded": "JobComplete",
            "failed": "Failed",
            "cancelled": "Aborted",
        },
    ),
    "bigquery": ("status.state", {"queued": "PENDING", "running": "RUNNING", "succeeded": "DONE"}),
    "apify": (
        "data.status",
        {
            "queued": "READY",
            "running": "RUNNING TIMING-OUT ABORTING",
            "succeeded": "SUCCEEDED",
            "failed": "FAILED TIMED-OUT",
            "cancelled": "ABORTED",
        },
    ),
    "assemblyai": (
        "status",
        {"queued": "queued", "running": "processing", "succeeded": "completed", "failed": "error"},
    ),
    "stripe-report": ("status", {"queued": "pending", "succeeded": "succeeded", "failed": "failed"}),
    "airbyte": (
        "status",
        {
            "queued": "pending queued",
            "running": "running incomplete",
            "succeeded": "succeeded",
            "failed": "failed",
            "cancelled": "cancelled",
        },
    ),
}
"""Every documented state, by entry: the field, and the words by phase. The entries that are missing have no such field."""

LISTED = [
    (entry, field, word, phase)
    for entry, (field, phases) in STATES.items()
    for phase, words in phases.items()
    for word in words.split()
]


def endpoint_of(name: str) -> DeclaredEndpoint[Any]:
    return from_catalog(name, auth=BearerAuth("unused"), base_url="https://api.example.com")


def read(name: str, body: object) -> Any:
    return endpoint_of(name).read(Reply(200, {"Content-Type": "application/json"}, json.dumps(body).encode()))


def sample(name: str, label: str) -> Any:
    return json.loads((SAMPLES / name / f"{label}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_sample_has_its_phase(path: Path) -> None:
    """The phase is that of the file's name, and a state that no page has is named."""
    reading = read(path.parent.name, json.loads(path.read_text(encoding="utf-8")))
    phase = path.stem.partition("-")[0]
    assert reading.phase is Phase("running" if phase == "unknown" else phase)
    assert (reading.unknown is not None) == (phase == "unknown")
    assert reading.final == (phase in {"succeeded", "failed", "cancelled"})


@pytest.mark.parametrize(("entry", "field", "word", "phase"), LISTED)
def test_a_documented_state_has_its_phase(entry: str, field: str, word: str, phase: str) -> None:
    """Also those states that no sample has."""
    name, _, final = entry.partition(" ")
    body = sample(
        name, "succeeded" if final or phase == "succeeded" else "running" if name != "stripe-report" else "queued"
    )
    *path, last = field.split(".")
    place = body
    for step in path:
        place = place[step]
    place[last] = word
    reading = read(name, body)
    assert (reading.phase, reading.unknown) == (Phase(phase), None)


def test_every_listed_word_is_documented() -> None:
    """A declaration lists no state that is not in the list above."""
    for name, entry in catalog().items():
        declared = entry.declaration
        listed = {*declared.queued, *declared.running, *declared.succeeded, *declared.failed, *declared.cancelled}
        assert listed == {word for known, _, word, _ in LISTED if known.partition(" ")[0] == name}


@pytest.mark.parametrize("name", catalog())
def test_each_entry_has_samples(name: str) -> None:
    """A job that waits or runs, a success, and a failure."""
    labels = {path.stem.partition("-")[0] for path in (SAMPLES / name).glob("*.json")}
    assert labels >= {"succeeded", "failed"}
    assert labels & {"queued", "running"}


@pytest.mark.parametrize(
    ("name", "label", "reason"),
    [
        ("openai-batch", "failed", "Line 3 is no JSON."),
        ("openai-fine-tune", "failed", "The training file has 9 examples."),
        ("replicate", "failed", "out of memory"),
        ("github-run", "failed", "failure"),
        ("databricks-run", "failed", "Task load failed."),
        ("salesforce-query", "failed", "The query timed out."),
        ("bigquery", "failed", "Unrecognized name: idd"),
        ("apify", "failed", "The crawler has no input."),
        ("assemblyai", "failed", "The audio URL cannot be read."),
        ("stripe-report", "failed", "The report cannot be made."),
        ("kubernetes-job", "failed", "The job has reached its backoff limit."),
        ("elasticsearch-task", "failed", "no such index [lost]"),
        ("elasticsearch-task", "failed-documents", "a field cannot be parsed"),
        ("elasticsearch-task", "cancelled", "by user request"),
    ],
)
def test_a_failure_has_its_reason(name: str, label: str, reason: str) -> None:
    """The vendor's words are found."""
    assert read(name, sample(name, label)).reason == reason


@pytest.mark.parametrize(
    ("name", "fraction"), [("openai-batch", 0.5), ("kubernetes-job", 0.25), ("elasticsearch-task", 0.25)]
)
def test_progress_is_read(name: str, fraction: float) -> None:
    """Where the vendor documents counts."""
    assert read(name, sample(name, "running")).fraction == fraction


@pytest.mark.parametrize("name", catalog())
def test_each_entry_names_its_source(name: str) -> None:
    """The page, and the table of docs/declaring.md has the entry with its keys and variables."""
    entry = catalog()[name]
    assert entry.page.startswith("https://")
    [row] = [line for line in DECLARING.read_text(encoding="utf-8").splitlines() if line.startswith(f"| [{name}](")]
    variables = list(auth_variables(entry.declaration.auth or {}))
    assert [word for word in (*entry.declaration.job, *variables, entry.page) if word not in row] == []


def test_an_own_server_is_asked_for() -> None:
    """Credentials are never sent to a placeholder."""
    with pytest.raises(ConfigurationError, match="give the base URL of your own server, because databricks-run"):
        from_catalog("databricks-run", auth=BearerAuth("x"))
    endpoint = from_catalog("databricks-run", auth=BearerAuth("x"), base_url="https://dbc.example.com")
    request = endpoint.request(endpoint.job(run_id=7))
    assert str(request.url) == "https://dbc.example.com/api/2.2/jobs/runs/get?run_id=7"


def test_an_unknown_entry_is_refused() -> None:
    """With the names that there are."""
    with pytest.raises(ConfigurationError, match=r"the catalog has no entry 'openai'; it has openai-batch, "):
        from_catalog("openai")


@attrs.frozen
class Batch:
    id: str
    status: str


def test_a_status_may_have_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with DeclaredEndpoint, and credentials come from the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    endpoint = from_catalog("openai-batch", status=Batch)
    body = json.dumps(sample("openai-batch", "succeeded")).encode()
    assert endpoint.read(Reply(200, {}, body)).status == Batch("batch_7", "completed")
    assert str(endpoint.request(endpoint.job(id="batch_7")).url) == "https://api.openai.com/v1/batches/batch_7"


def test_the_catalog_is_loaded_once() -> None:
    """The same values each time."""
    assert catalog() is catalog()


def test_dotted_paths_need_no_library() -> None:
    """Without JMESPath, the entries that do not use it work, and the others say what to install."""
    script = (
        "import sys\n"
        "sys.modules['jmespath'] = None\n"
        "from pollwise.endpoints.catalog import from_catalog\n"
        "from pollwise.http.auth import BearerAuth\n"
        "print(from_catalog('replicate', auth=BearerAuth('x')).name)\n"
        "from_catalog('openai-batch', auth=BearerAuth('x'))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "replicate\n"
    assert "pip install 'pollwise[declared]'" in done.stderr
