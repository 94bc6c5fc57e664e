"""A command gets the options of a profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise.cli.app import app
from pollwise.cli.exit_status import UsageError

PROFILES = """
[profiles.work]
timeout = 600
interval = 5
account = "usual"
account-of = { exports = "acme" }
proxy = "http://proxy.example"
cert = "cert.pem"
cert-key = "key.pem"
concurrency = 8
json = false
fail-fast = true
base-url = { exports = "https://e.example", reports = "https://r.example", document360 = "https://d.example" }
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, environment: pytest.MonkeyPatch) -> Path:
    """The file of the configuration folder, with the profile `work`. The current folder is empty."""
    environment.chdir(tmp_path)
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    environment.delenv("POLLWISE_PROFILE", raising=False)
    file = tmp_path / "config" / "pollwise" / "endpoints.toml"
    file.parent.mkdir(parents=True)
    file.write_text(PROFILES)
    return file


def options(*arguments: str) -> dict[str, Any]:
    """All options that the command gets."""
    _, bound, _ = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
    bound.apply_defaults()
    given = dict(bound.arguments)
    return {**attrs.asdict(given.pop("options")), **given}


def test_an_option_wins_over_the_profile(config: Path, environment: pytest.MonkeyPatch) -> None:
    """The order is: command line, environment, profile, default. A profile is named by an option or a variable."""
    watch = ("watch", "exports", "id=7")
    assert options(*watch)["timeout"] == 3600
    found = options(*watch, "--profile", "work")
    assert (found["timeout"], found["interval"], found["max_interval"]) == (600, 5, None)
    assert (found["proxy"], found["cert"], found["json"]) == ("http://proxy.example", config.parent / "cert.pem", False)
    environment.setenv("POLLWISE_PROFILE", "work")
    assert options(*watch)["timeout"] == 600
    assert options(*watch, "--timeout", "7", "--proxy", "none")["timeout"] == 7
    assert options(*watch, "--proxy", "none")["proxy"] == "none"
    assert options(*watch, "--profile", "none")["timeout"] == 3600
    environment.setenv("POLLWISE_PROFILE", "")
    assert options(*watch)["timeout"] == 3600


def test_a_pair_comes_from_one_place() -> None:
    """A certificate of the command line has no key of the profile, and an interval has no longest one."""
    found = options("watch", "exports", "id=7", "--profile", "work", "--cert", "other.pem", "--max-interval", "9")
    assert (found["cert"], found["cert_key"], found["interval"]) == (Path("other.pem"), None, None)


def test_an_option_wins_over_one_that_contradicts_it(config: Path) -> None:
    """`--quiet` replaces `verbose` of the profile, and `--output` replaces `json`."""
    config.write_text("[profiles.work]\nverbose = true\njson = true\ntimeout = '1h30m'\n")
    watch = ("watch", "exports", "id=7", "--profile", "work")
    assert options(*watch)["verbose"]
    found = options(*watch, "--quiet", "--output", "table")
    assert (found["quiet"], found["verbose"], found["json"], found["output"]) == (True, False, False, "table")
    assert found["timeout"] == 5400


def test_a_file_for_the_result_wins_over_a_table(config: Path) -> None:
    """A table is for stdout. For a batch both are right, because its file has the results and stdout has the events."""
    config.write_text("[profiles.work]\noutput = 'table'\n")
    assert options("result", "exports", "id=7", "--profile", "work")["output"] == "table"
    assert options("result", "exports", "id=7", "--profile", "work", "--out", "file")["output"] is None
    assert options("batch", "jobs.csv", "--profile", "work", "--out", "file")["output"] == "table"


@pytest.mark.parametrize(
    ("arguments", "base_url", "account"),
    [
        ("watch exports id=7", "https://e.example", "acme"),
        ("result reports id=7", "https://r.example", "usual"),
        ("cancel exports id=7 --account mine", "https://e.example", "mine"),
        ("check exports id=7 --base-url https://o.example", "https://o.example", "acme"),
        ("watch others id=7", None, "usual"),
        ("watch document360 T", "https://d.example", "usual"),
    ],
)
def test_a_url_is_for_its_endpoint_alone(arguments: str, base_url: str | None, account: str) -> None:
    """Credentials of another endpoint never go there. An account is that of the endpoint, else that of all."""
    found = options(*arguments.split(), "--profile", "work")
    assert (found["base_url"], found["account"]) == (base_url, account)


def test_a_batch_gets_the_tables(environment: pytest.MonkeyPatch) -> None:
    """Entry by entry: those of the command line and of the environment win."""
    batch = ("batch", "jobs.csv", "--profile", "work")
    found = options(*batch, "--base-url", "exports=https://o.example", "--account-of", "reports=mine")
    assert found["base_url"] == (
        "exports=https://o.example",
        "reports=https://r.example",
        "document360=https://d.example",
    )
    assert (found["account_of"], found["account"]) == (("reports=mine", "exports=acme"), "usual")
    assert (found["concurrency"], found["fail_fast"]) == (8, True)
    assert options(*batch, "--account", "mine")["account_of"] == ()
    assert len(options(*batch, "--document360-url", "https://o.example")["base_url"]) == 2
    environment.setenv("DOCUMENT360_BASE_URL", "https://env.example")
    assert len(options(*batch)["base_url"]) == 2
    assert options("watch", "document360", "T", "--profile", "work")["base_url"] == "https://env.example"


def test_where_requests_go_is_shown(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr, because it decides where credentials go. With -v all values are shown."""
    options("watch", "exports", "id=7", "--profile", "work")
    place = f"pollwise: of the profile work of {config}: "
    assert capsys.readouterr().err == f"{place}base-url https://e.example, proxy http://proxy.example\n"
    options("watch", "exports", "id=7", "--profile", "work", "-v", "--proxy", "none")
    assert capsys.readouterr().err.startswith(f"{place}account acme, base-url https://e.example, timeout 600, ")
    options("watch", "others", "id=7", "--profile", "work", "--proxy", "none")
    assert capsys.readouterr().err == ""


def test_the_default_of_a_folder_does_not_choose_servers(config: Path) -> None:
    """A folder can come from anywhere. The user has to name its profile, once, or to have it in the configuration folder."""
    usual = "[profiles.default]\ntimeout = 9\nproxy = 'http://proxy.example'\nbase-url = { a = 'https://a.example' }\n"
    Path("pollwise.toml").write_text(usual)
    with pytest.raises(
        UsageError, match=r"default of pollwise.toml has base-url, proxy, which .* add --profile default, or"
    ):
        options("watch", "a", "id=7")
    assert options("watch", "a", "id=7", "--profile", "default")["base_url"] == "https://a.example"
    assert options("watch", "b", "id=7", "--proxy", "none")["timeout"] == 9
    assert options("watch", "a", "id=7", "--profile", "none")["timeout"] == 3600
    Path("pollwise.toml").unlink()
    config.write_text(usual)
    assert options("watch", "a", "id=7")["base_url"] == "https://a.example"


def test_the_default_of_a_folder_does_not_choose_a_database() -> None:
    """A database would get the outcomes and the password of PGPASSWORD. A file of the folder is taken."""
    profile = Path("pollwise.toml")
    profile.write_text("[profiles.default]\nledger = 'postgresql://db.example/jobs'\n")
    with pytest.raises(UsageError, match=r"default of pollwise.toml has ledger, which .* add --profile default, or"):
        options("batch", "jobs.jsonl")
    assert str(options("batch", "jobs.jsonl", "--ledger", "a")["ledger"]) == "a"
    profile.write_text("[profiles.default]\nledger = 'b'\n")
    assert str(options("batch", "jobs.jsonl")["ledger"]) == "b"


def test_other_commands_read_no_profile(config: Path) -> None:
    """A wrong file does not stop the demo, nor the help."""
    config.write_text("[profiles")
    assert options("demo")["json"] is False


async def test_a_wrong_profile_is_a_usage_error(config: Path, command: Callable[..., Any]) -> None:
    """There is a line for each problem on stderr, and nothing is sent."""
    config.write_text("[profiles.default]\nx = 1\ny = 2\n")
    status, out, err = await command("watch", "exports", "id=7")
    assert (status, out) == (2, "")
    assert [line.partition(": no option")[0] for line in err.splitlines()] == [
        f"pollwise: {config}: [profiles.default] x",
        f"pollwise: {config}: [profiles.default] y",
    ]


async def test_profiles_are_beside_declarations(exports: Any, config: Path, command: Callable[..., Any]) -> None:
    """In one file. The values are used, and their table is no endpoint."""
    declared = Path("pollwise.toml").read_text()
    values = "[profiles.default]\ntimeout = 0.01\n[profiles.default.account-of]\nexports = 'acme'\n"
    Path("pollwise.toml").write_text(declared + values)
    exports.ends["7"] = "never"
    status, out, _ = await command("watch", "exports", "id=7", "--json")
    assert status == 3
    assert '"account":"acme"' in out
    Path("pollwise.toml").write_text("[profiles.default]\n")
    assert (await command("endpoint", "list"))[0] == 0
