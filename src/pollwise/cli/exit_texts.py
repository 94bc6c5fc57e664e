"""The exit statuses in the help of each command. Their meaning is in exit_status.py."""

from __future__ import annotations

__all__ = [
    "BATCH",
    "CANCEL",
    "CHECK",
    "DEMO",
    "ENDPOINT_CHECK",
    "ENDPOINT_LIST",
    "FLEET_DEMO",
    "FLEET_STATUS",
    "FLEET_SUBMIT",
    "FLEET_WORKER",
    "LEDGER",
    "PROFILE",
    "REPAIR",
    "RESULT",
    "SERVER",
    "SUBMIT",
    "WATCH",
]

WATCH = """\
Exit status:
  0    succeeded
  1    failed or cancelled
  2    usage
  3    gave up: deadline or outage; the job may still be running
  4    the server does not know the job
  5    the credentials were refused, or may not see the job
  6    the set-up is wrong: base URL, certificate or proxy
  7    succeeded, and then the command of --exec failed
  130  interrupted with Ctrl-C
"""

DEMO = """\
Exit status:
  0    every job ended as the simulator planned, failures included
  1    pollwise reported another outcome
  130  interrupted with Ctrl-C
"""

SERVER = """\
Exit status:
  2    usage, or the port is in use
  130  interrupted with Ctrl-C
  143  terminated
"""

BATCH = """\
Exit status:
  0    all succeeded
  1    some failed or were cancelled, and none was abandoned
  2    usage, or bad rows in JOBS; no request was sent
  3    some were abandoned: those jobs may still be running
  4    with --fail-fast: the server does not know the job
  5    the credentials were refused
  6    the set-up is wrong: base URL, certificate or proxy
  7    all succeeded, and then the command of --exec failed
  74   the ledger or another file cannot be written
  130  interrupted with Ctrl-C; run the same command to continue
  143  terminated; run the same command to continue
"""

LEDGER = """\
Exit status:
  0    done
  1    done, but some rows are damaged and were left out
  2    usage, or the ledger does not exist
  74   the ledger cannot be read, or the output cannot be written
"""

REPAIR = """\
Exit status:
  0    all rows are sound
  1    some rows, or the file, are damaged
  2    usage, or the ledger does not exist, or the new file exists
  74   no row can be read, or the new file cannot be written
"""

RESULT = """\
Exit status:
  0    the result is written
  1    the job failed or was cancelled
  2    usage, or its endpoint has no result
  3    gave up: the job may still be running; or its result cannot be had
  4-6  as `pollwise watch`
  74   the result cannot be written
  130  interrupted with Ctrl-C
"""

CANCEL = """\
Exit status:
  0    the server accepted the request; with --wait: the job was cancelled
  1    too late, or refused; with --wait: the job ended in another way
  2    usage, or its endpoint cannot cancel
  3    no answer; with --wait: gave up, the job may still be running
  4-6  as `pollwise watch`
  130  interrupted with Ctrl-C
"""

SUBMIT = """\
Exit status:
  0    the job was started; with --wait: it succeeded; with --result: written
  1    no job was started; with --wait: the job failed or was cancelled
  2    usage, or its endpoint cannot start jobs
  3    in doubt: the job may have been started; with --wait: gave up
  4-6  as `pollwise watch`
  74   the result cannot be written
  130  interrupted with Ctrl-C
"""

CHECK = """\
Exit status:
  0    all is right; else the status of the worst line
  2    usage
  3    the server did not answer, or is not able to just now
  4    the server does not know the job
  5    the credentials were refused, or may not see the job
  6    the set-up is wrong: base URL, proxy or certificate
"""

ENDPOINT_CHECK = """\
Exit status:
  0    the declarations are right
  1    something is wrong with them; all of it is shown
  2    usage
"""

ENDPOINT_LIST = """\
Exit status:
  0    listed
  2    usage, or a file is wrong
"""

PROFILE = """\
Exit status:
  0    shown
  2    usage, or a file is wrong
"""

FLEET_WORKER = """\
Exit status:
  0    Ctrl-C or SIGTERM, and its shards were given to other workers
  2    usage, or the extra postgres is missing
  6    the set-up is wrong: proxy or certificate
  74   the database cannot be reached, refuses, or does not answer at the end
  130  a second Ctrl-C, or one before it had connected
  143  the same with SIGTERM
"""

FLEET_SUBMIT = """\
Exit status:
  0    all jobs are in the database; with --wait: all succeeded
  1    with --wait: some failed or were cancelled, and none was abandoned
  2    usage, or bad rows in JOBS; nothing was submitted
  3    with --wait: some were abandoned: those jobs may still be running
  74   the database cannot be reached, or refuses
  130  interrupted with Ctrl-C; run the same command to continue
  143  terminated; run the same command to continue
"""

FLEET_STATUS = """\
Exit status:
  0    shown
  2    usage, or the extra postgres is missing
  74   the database cannot be reached, or refuses
  130  interrupted with Ctrl-C
"""

FLEET_DEMO = """\
Exit status:
  0    no job was lost, none was delivered twice, and no request refused
  1    not so
  2    a package is missing
  130  interrupted with Ctrl-C
"""
