"""Azure long-running operations: those of Azure Resource Manager, and those of the Azure REST API guidelines.

Rule: no client of Azure's is needed. `AzureOperation.from_reply` reads the reply of any client that starts an operation.
"""

from __future__ import annotations

from pollwise.endpoints.azure.endpoint import AzureError, AzureOperationsEndpoint, AzureOrder, AzureStatus
from pollwise.endpoints.azure.operation import AzureOperation, FinalStateVia, Monitor

__all__ = [
    "AzureError",
    "AzureOperation",
    "AzureOperationsEndpoint",
    "AzureOrder",
    "AzureStatus",
    "FinalStateVia",
    "Monitor",
]
