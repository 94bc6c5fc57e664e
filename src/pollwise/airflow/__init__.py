"""Operators and triggers for Apache Airflow: a task that waits for another server's job without a worker.

    from pollwise.airflow import PollwiseOperator

    export = PollwiseOperator(task_id="export", endpoint="openai-batch", job={"id": "batch_7"}, timeout_s=86_400)

It needs `pip install 'pollwise[airflow]'`, on the workers and where the triggerer runs. The files:

    reference.py   how a DAG names an endpoint
    connection.py  credentials from an Airflow connection
    starts.py      whether a try starts a job, or goes on with that of an earlier try
    shared.py      the watchers that the triggers of one triggerer share
    reports.py     outcomes as JSON, for events and XComs
    operator.py    PollwiseOperator
    trigger.py     PollwiseTrigger

Rule 1: only operator.py and trigger.py import Airflow, so importing this module does not.
Rule 2: what Airflow's database keeps of a watch is its resume token and how the DAG names the endpoint, never a credential.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pollwise.airflow.operator import PollwiseOperator
    from pollwise.airflow.trigger import PollwiseTrigger

__all__ = ["PollwiseOperator", "PollwiseTrigger"]

_MODULES: Final = {"PollwiseOperator": "operator", "PollwiseTrigger": "trigger"}


def __getattr__(name: str) -> Any:
    """Import a class when it is asked for.

    Raises:
        ConfigurationError: Airflow is not installed.
    """
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
