"""Endpoints without code: a declaration says how to ask and how to read.

    endpoint = DeclaredEndpoint.load("endpoints.toml", "openai-batch")
    async with JobWatcher(endpoint, timeout_s=86_400) as watcher:
        status = await watcher.watch(endpoint.job(id="batch_7"))

`vocabulary.py` has the words, `loading.py` reads files, `templates.py` makes requests, `expressions.py` and `rules.py`
read replies, `jobs.py` has the jobs, `statuses.py` makes statuses, `problems.py` collects what is wrong.
"""

from __future__ import annotations

from pollwise.endpoints.declared.endpoint import DeclaredEndpoint
from pollwise.endpoints.declared.jobs import DeclaredJob
from pollwise.endpoints.declared.loading import load_declarations
from pollwise.endpoints.declared.problems import DeclarationErrors, DeclarationProblem
from pollwise.endpoints.declared.vocabulary import Call, Declaration, Fetch, Progress, Submit, Wait

__all__ = [
    "Call",
    "Declaration",
    "DeclarationErrors",
    "DeclarationProblem",
    "DeclaredEndpoint",
    "DeclaredJob",
    "Fetch",
    "Progress",
    "Submit",
    "Wait",
    "load_declarations",
]
