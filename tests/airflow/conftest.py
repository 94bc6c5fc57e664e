"""What the tests with Airflow share. Without Airflow, only those of the files that do not import it run."""

from __future__ import annotations

import asyncio

import pytest


@pytest.fixture(scope="session", autouse=True)
def _thread_of_asgiref() -> None:
    """Start the thread that Airflow keeps for reading connections, so that no test seems to leave it behind."""
    asgiref = pytest.importorskip("asgiref.sync") if _has_airflow() else None
    if asgiref is not None:
        asyncio.run(asgiref.sync_to_async(int)())


def _has_airflow() -> bool:
    try:
        import airflow.sdk  # noqa: F401, PLC0415
    except ImportError:
        return False
    return True
