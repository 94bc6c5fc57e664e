"""Profiles: options of the commands that are kept in a file, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from pollwise.cli.app import app
from pollwise.cli.exit_status import UsageError
from pollwise.cli.profiles import KEYS, ProfileErrors, find_profile, read_profiles


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the configuration folder. The current folder is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "pollwise").mkdir(parents=True)
    return tmp_path / "config" / "pollwise" / "endpoints.toml"


def write(text: str, path: Path = Path("pollwise.toml")) -> None:
    path.write_text(text)


def test_the_ledger_may_be_a_database(config: Path) -> None:
    """Its URL stays as it is. The file of a ledger is in the folder of the profile."""
    write("[profiles.a]\nledger = 'postgresql://me@a.example/jobs'\n[profiles.b]\nledger = 'b.ledger'", config)
    profiles = read_profiles()
    assert profiles["a"].values["ledger"] == "postgresql://me@a.example/jobs"
    assert profiles["b"].values["ledger"] == str(config.parent / "b.ledger")


def test_the_first_file_with_the_name_counts(config: Path) -> None:
    """A profile is taken whole. `default` is taken if none is named, and `none` is none."""
    assert find_profile(None) is None
    write("[profiles.a]\ntimeout = 1\n[profiles.b]\n")
    write("[profiles.a]\naccount = 'x'\n[profiles.default]\njson = true\n", config)
    assert [(name, profile.file) for name, profile in read_profiles().items()] == [
        ("a", Path("pollwise.toml")),
        ("b", Path("pollwise.toml")),
        ("default", config),
    ]
    one, usual = find_profile("a"), find_profile(None)
    assert one is not None
    assert usual is not None
    assert (dict(one.values), dict(usual.values)) == ({"timeout": "1"}, {"json": "true"})
    assert find_profile("none") is None


def test_every_kind_of_value_is_read(config: Path) -> None:
    """As TOML has it, and shown as TOML again. A relative path is in the folder of the file."""
    write(
        """
        [profiles.all]
        timeout = "None"
        interval = 0.5
        max-interval = "1m30s"
        quiet = true
        concurrency = 8
        fail-fast = true
        rate = "60/min"
        format = "csv"
        proxy = "proxy.example:3128"
        ca-bundle = "ca.pem"
        cert = "/etc/cert.pem"
        account-of = { exports = "acme" }
        base-url = { "a.b" = "https://b.example/v1" }
        """,
        config,
    )
    found = find_profile("all")
    assert found is not None
    assert list(found.lines()) == [
        'timeout = "none"',
        "interval = 0.5",
        'max-interval = "1m30s"',
        "quiet = true",
        "concurrency = 8",
        "fail-fast = true",
        'rate = "60/min"',
        'format = "csv"',
        'proxy = "proxy.example:3128"',
        f'ca-bundle = "{config.parent / "ca.pem"}"',
        'cert = "/etc/cert.pem"',
        'account-of."exports" = "acme"',
        'base-url."a.b" = "https://b.example/v1"',
    ]


@pytest.mark.parametrize(
    ("line", "states"),
    [
        ("timeut = 7", "timeut: no option has this name; did you mean timeout?"),
        ("base_url = {}", "base_url: no option has this name; did you mean base-url?"),
        ("zzz = 7", "no option has this name; there are account, account-of,"),
        (
            "api-token = 'hush'",
            "api-token: a profile has no secrets; set the environment variable that the endpoint reads",
        ),
        ("password = 'hush'", "a profile has no secrets"),
        ("proxy = 'http://me:hush@a.example'", "put the URL with a user name and a password into HTTPS_PROXY"),
        ("base-url = { a = 'https://me:hush@a.example' }", "a profile has no secrets"),
        ("exec = 'rm'", "a file does not choose the programs that run"),
        ("out = 'hush'", "it is for one run, so give it as an option"),
        ("document360-url = 'https://hush'", "write base-url = { document360 = 'https://...' }"),
        ("bearer-env = 'HUSH'", "declare the endpoint instead"),
        ("base-url = 'https://a.example'", "write a table by the names of endpoints"),
        ("base-url = { a = 'a.example' }", "expected an http or https URL"),
        ("base-url = { 'a=b' = 'https://a.example' }", "write a table by the names of endpoints"),
        ("account-of = ['a']", "write a table by the names of endpoints, such as { exports = 'acme' }"),
        ("timeout = -1", "expected a duration such as 90s, 1h30m, 2d or 500ms, from 1ms to 3650d, got '-1'"),
        ("timeout = nan", "from 1ms to 3650d, got 'nan'"),
        ("timeout = 1e12", "from 1ms to 3650d, got '1000000000000.0'"),
        ("timeout = true", "expected a duration such as 90s, 1h30m, 2d or 500ms, got true or false"),
        ("timeout = 'soon'", "expected a duration such as 90s, 1h30m, 2d or 500ms, got 'soon'"),
        ("interval = 'none'", "expected a duration such as 90s"),
        ("output = 'yaml'", "expected json or table, got 'yaml'"),
        ("interval = inf", "from 1ms to 3650d, got 'inf'"),
        (f"interval = 1{'0' * 400}", "from 1ms to 3650d"),
        ("interval = 0.0001", "from 1ms to 3650d"),
        (
            "ledger = 'postgresql://me:hush@a.example/jobs'",
            "a profile has no secrets; leave the password out of the URL",
        ),
        (
            "ledger = 'postgres://a.example/jobs?password=hush'",
            "a profile has no secrets; leave the password out of the URL",
        ),
        ("ledger = 'mysql://me:hush@a.example/jobs'", "postgresql://user@host:5432/database"),
        ("concurrency = 0", "expected a whole number of at least 1, got 0"),
        ("concurrency = 1.5", "expected a whole number"),
        ("metrics-port = 65536", "expected a whole number from 0 to 65535, got 65536"),
        ("rate = '5'", "expected a rate such as 60/min"),
        ("format = 'xml'", "expected csv or jsonl, got 'xml'"),
        ("query = 'job.id'", "it is for one run, so give it as an option"),
        ("json = 'yes'", "expected true or false, got a text"),
        ("account = ''", "expected a text, got an empty one"),
        ("ledger = 2026-01-01", "expected a text, got a date"),
    ],
)
def test_a_wrong_key_is_refused(line: str, states: str, config: Path) -> None:
    """The error has the file, the table and the key, and no secret."""
    write(f"[profiles.work]\n{line}\n", config)
    with pytest.raises(ProfileErrors) as refused:
        find_profile("other")
    [problem] = refused.value.problems
    assert problem.startswith(f"{config}: [profiles.work] {line.partition(' ')[0]}: ")
    assert states in problem
    assert "hush" not in problem.lower().replace("bearer-env", "")


def test_a_database_and_durations(config: Path) -> None:
    """The URL of a database is no path, and durations are as those of the options."""
    write(
        "[profiles.work]\ntimeout = '1h30m'\ninterval = '500ms'\nledger = 'postgresql://me@db.example/jobs'\n", config
    )
    found = find_profile("work")
    assert found is not None
    assert list(found.lines()) == [
        'timeout = "1h30m"',
        'interval = "500ms"',
        'ledger = "postgresql://me@db.example/jobs"',
    ]


def test_all_problems_are_one_error(config: Path) -> None:
    """Those of both files, and of all profiles."""
    write("[profiles.a]\nx = 1\ny = 2\n[profiles.none]\n[profiles]\nb = 3\n")
    write("profiles = 4\n", config)
    with pytest.raises(ProfileErrors) as refused:
        find_profile(None)
    assert [problem.partition(";")[0] for problem in refused.value.problems] == [
        "pollwise.toml: [profiles.a] x: no option has this name",
        "pollwise.toml: [profiles.a] y: no option has this name",
        "pollwise.toml: [profiles.none] cannot have this name, because --profile none takes no profile",
        "pollwise.toml: [profiles.b] must be a table, got a number",
        f"{config}: [profiles] must have a table for each profile, such as [profiles.default]",
    ]


@pytest.mark.parametrize("content", [b"[profiles", b"\xff", b"#" * 1_000_001])
def test_a_file_that_cannot_be_read_is_an_error(content: bytes) -> None:
    """With the reason."""
    Path("pollwise.toml").write_bytes(content)
    with pytest.raises(ProfileErrors, match=r"^pollwise.toml: cannot be read: "):
        find_profile(None)


def test_an_unknown_profile_is_answered_with_the_nearest(config: Path) -> None:
    """And with the files that may have it."""
    with pytest.raises(
        UsageError, match=r"no profile work; there are none\. Profiles are tables \[profiles\.NAME\] of pollwise"
    ):
        find_profile("work")
    write("[profiles.staging]\n[profiles.live]\n")
    with pytest.raises(UsageError, match=r"no profile stagin; did you mean staging\?"):
        find_profile("stagin")
    with pytest.raises(UsageError, match=r"no profile x; there are staging, live\."):
        find_profile("x")


def test_a_file_of_another_user_has_no_profile() -> None:
    """It is an error only if a profile is named, so that such a file does not stop the commands in its folder."""
    write("[profiles.default]\ntimeout = 1\n")
    Path("pollwise.toml").chmod(0o666)
    assert find_profile(None) is None
    with pytest.raises(UsageError, match=r"pollwise.toml can be written by every user, so its profiles are not taken"):
        find_profile("default")


def test_every_key_is_an_option() -> None:
    """Of one of the commands that take a profile."""
    options: set[str] = set()
    for command in ("watch", "batch", "result", "cancel", "submit", "check"):
        arguments = app[command].default_command and app[command].assemble_argument_collection()
        options.update(name for argument in arguments or () for name in argument.names)
    assert [key for key in KEYS if f"--{key}" not in options] == []


def test_every_option_is_known(config: Path) -> None:
    """A profile has it, or the message says why it has not. It never says that there is no such option."""
    commands = [app[command] for command in ("watch", "batch", "result", "cancel", "submit", "check")]
    names = {name for one in commands for argument in one.assemble_argument_collection() for name in argument.names}
    options = sorted(name.removeprefix("--") for name in names if name.startswith("--") and name[:5] != "--no-")
    write("\n".join(["[profiles.work]", *(f"{option} = []" for option in options)]), config)
    with pytest.raises(ProfileErrors) as refused:
        find_profile("work")
    assert len(refused.value.problems) == len(options) > 30
    assert "no option has this name" not in str(refused.value)
