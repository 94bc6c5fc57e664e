"""Azure long-running operations: those of Azure Resource Manager, and those of the Azure REST API guidelines.

Rule: nothing here starts a client of Azure's. `AzureOperation.from_reply` takes over from any of them.
"""

from __future__ import annotations

from pollwise.endpoints.azure.endpoint import AzureError, AzureOperations, AzureOrder, AzureStatus
from pollwise.endpoints.azure.operation import AzureOperation, FinalStateVia, Monitor

__all__ = ["AzureError", "AzureOperation", "AzureOperations", "AzureOrder", "AzureStatus", "FinalStateVia", "Monitor"]
