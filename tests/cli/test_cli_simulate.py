from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
from collections.abc import Callable
from typing import Any

Run = Callable[..., Any]
Start = Callable[..., Any]


async def instructions(child: Any) -> list[str]:
    """The lines that the simulator prints at its start."""
    lines: list[str] = []
    while not lines or "Ctrl-C" not in lines[-1]:
        lines.append(await child.line())
        assert lines[-1], "the simulator ended"
    return lines


async def test_what_it_prints_can_be_pasted(start: Start) -> None:
    """Its commands work as printed, a job's time begins with its first poll, and Ctrl-C ends the server."""
    server = await start("simulator", "--seconds", "0.2", "--jobs", "14")
    lines = await instructions(server)
    exports = dict(re.findall(r"(\w+)=(\S+)", "".join(line for line in lines if line.strip().startswith("export "))))
    assert set(exports) == {
        "DOCUMENT360_BASE_URL",
        "DOCUMENT360_API_TOKEN",
        "ORACLE_CONTENT_BASE_URL",
        "ORACLE_CONTENT_TOKEN",
    }
    watches = [line.strip() for line in lines if line.strip().startswith("pollwise watch")]
    commands = [line.partition("#") for line in watches if "#" in line]
    assert len(commands) == 14
    further = [shlex.split(line)[1:] for line in watches if "#" not in line]
    assert {"document360-v3-export", "oracle-content-download"} <= {arguments[1] for arguments in further}
    by_outcome = {outcome.strip(): shlex.split(command)[1:] for command, _, outcome in commands}
    assert set(by_outcome) == {"succeeded", "failed", "cancelled", "abandoned"}
    environment = {**os.environ, **exports}
    pasted = [by_outcome["succeeded"], by_outcome["abandoned"], further[-1]]
    children = [await start(*arguments, env=environment) for arguments in pasted]
    assert [(await child.end())[0] for child in children] == [0, 4, 0]
    server.process.send_signal(signal.SIGINT)
    status, _, err = await server.end()
    assert status == 130
    assert re.fullmatch(r"pollwise: simulator stopped after [\d,]+ requests\n", err)


async def test_a_port_in_use(command: Run) -> None:
    """A port that is in use is reported in one line."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, out, err = await command("simulator", "--port", port)
    assert (status, out) == (2, "")
    assert err.startswith(f"pollwise: port {port} cannot be opened (")
    assert err.count("\n") == 1


async def test_faults_and_a_rate_limit(start: Start) -> None:
    """`--faults` and `--requests-per-minute` take effect; SIGTERM ends the server."""
    server = await start("simulator", "--faults", "1", "--requests-per-minute", "1", "--jobs", "1")
    url = re.findall(r"http://[\d.:]+", "".join(await instructions(server)))[0]
    host, _, port = url.removeprefix("http://").partition(":")
    heads = []
    for _ in range(2):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /v2/Drive/Folders/DeleteFile/Status/handbook-2019 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        heads.append(await reader.read())
        writer.close()
    assert heads[1].startswith(b"HTTP/1.1 429 ")
    server.process.send_signal(signal.SIGTERM)
    assert (await server.end())[0] == 143


async def test_named_faults_and_odd_forms(start: Start) -> None:
    """`--fault`, `--odd` and `--cache` take effect."""
    options = ["--faults", "1", "--fault", "maintenance-page", "--fault", "firewall-page", "--cache", "60"]
    server = await start("simulator", *options, "--odd", "text-json", "--odd", "byte-order-mark", "--jobs", "1")
    url = re.findall(r"http://[\d.:]+", "".join(await instructions(server)))[0]
    host, _, port = url.removeprefix("http://").partition(":")
    bodies = []
    for _ in range(6):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(
            b"GET /v2/Drive/Folders/DeleteFile/Status/handbook-2019 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        bodies.append(await reader.read())
        writer.close()
    assert all(b"Scheduled maintenance" in body or b"Request blocked" in body for body in bodies)
    server.process.send_signal(signal.SIGTERM)
    assert (await server.end())[0] == 143


async def test_unknown_names(command: Run) -> None:
    """An unknown name is reported in one line, with the known names."""
    for option, known in (("--fault", "bad-gateway"), ("--odd", "text-json")):
        status, out, err = await command("simulator", option, "sunshine")
        assert (status, out) == (2, "")
        assert "sunshine" in err
        assert known in err
        assert err.count("\n") == 1
