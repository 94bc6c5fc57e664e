"""A real run of the DAG of `examples/`: `airflow dags test`, with Airflow's database, task runner and trigger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("airflow.sdk", reason="Airflow has an environment of its own: .ci/airflow runs these tests")

from job_server import SECRET, JobServer

DAG = Path(__file__).parents[2] / "examples" / "airflow_dag.py"
LONGEST_S = 240


def test_the_dag_runs_to_its_end(tmp_path: Path) -> None:
    """Both mapped tasks start one job each, defer, resume and succeed; one is retried and goes on with its job.

    No secret gets into Airflow's database or its log.
    """
    with JobServer() as server:
        server.refuse = 1  # ends the watch of one task, and Airflow retries it
        connection = {"conn_type": "http", "host": server.url, "password": SECRET}
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAG.parent),
            "AIRFLOW__CORE__DEFAULT_TASK_RETRY_DELAY": "0",
            "AIRFLOW_CONN_ACME": json.dumps(connection),
        }
        airflow = str(Path(sys.executable).with_name("airflow"))
        for command in (["db", "migrate"], ["dags", "test", "acme_exports", "-f", str(DAG)]):
            done = subprocess.run(
                [airflow, *command], env=environment, capture_output=True, text=True, check=False, timeout=LONGEST_S
            )
            assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert (server.started, server.refuse) == (2, 0)
        assert {job["state"] for job in server.jobs.values()} == {"done"}
        assert (server.requests["POST"], server.requests["DELETE"]) == (2, 0)
    assert "going on with the job that an earlier try has started" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert SECRET.encode() not in (tmp_path / "airflow.db").read_bytes()
