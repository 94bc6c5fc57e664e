"""`pollwise profile`: the options that are kept in files.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from cyclopts import App

from pollwise.cli.exit_texts import PROFILE
from pollwise.cli.options import LogOptions

__all__ = ["app"]

_USUAL_LOG = LogOptions()


app = App(name="profile", help_epilogue=PROFILE)


@app.command(name="list", help_epilogue=PROFILE)
async def list_profiles(
    *,
    options: LogOptions = _USUAL_LOG,  # noqa: ARG001  read by run.py, as every command's
) -> int:
    """List the profiles, each with the file that has it.

    Args:
        options: What to log; read by run.py.
    """
    from pollwise.cli.profiles import read_profiles
    from pollwise.cli.safe_text import safe
    from pollwise.cli.terminal import print_note
    from pollwise.cli.usual_files import usual_files

    profiles = read_profiles()
    if not profiles:
        files = " or ".join(safe(path) for path in usual_files())
        print_note(f"pollwise: there are no profiles. Write one as [profiles.NAME] in {files}")
    for profile in profiles.values():
        print(f"{safe(profile.name, 60)}: {safe(profile.file)}")
    return 0


@app.command(name="show", help_epilogue=PROFILE)
async def show_profile(
    name: str | None = None,
    /,
    *,
    options: LogOptions = _USUAL_LOG,  # noqa: ARG001  read by run.py, as every command's
) -> int:
    """Show the values of a profile as lines of TOML, and the file that has it.

    With -v, `pollwise watch` and the other commands show the values that they take.

    Args:
        name: The profile. Without it: default.
        options: What to log; read by run.py.
    """
    from pollwise.cli.exit_status import UsageError
    from pollwise.cli.profiles import DEFAULT, find_profile
    from pollwise.cli.safe_text import safe

    profile = find_profile(DEFAULT if name is None else name)
    if profile is None:
        raise UsageError("none takes no profile, so there is nothing to show")
    print(f"# {safe(profile.name, 60)} of {safe(profile.file)}")
    for line in profile.lines():
        print(safe(line, 1000))
    return 0
