"""An Airflow DAG that starts two exports on another server, and waits for them without a worker.

The Airflow connection `acme` has the server's address as its host, and the token as its password.
"""

from __future__ import annotations

from pathlib import Path

import pendulum
from airflow.sdk import DAG

from pollwise.airflow import PollwiseOperator

with DAG(
    dag_id="acme_exports",
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1),
    default_args={"retries": 2},
):
    PollwiseOperator.partial(
        task_id="export",
        endpoint="acme-exports",
        endpoints_file=str(Path(__file__).with_name("acme_exports.toml")),
        conn_id="acme",
        timeout_s=86_400,
        deferrable=True,
    ).expand(order=[{"table": "orders"}, {"table": "customers"}])
