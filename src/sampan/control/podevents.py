"""What is told about the pods that a controller creates and deletes.

Source: kube-controller-manager `controller_utils.go` (RealPodControl).
"""

from __future__ import annotations

from typing import Any

from sampan.api.errors import ApiError, namespace_ends
from sampan.kinds.plan import Create, Delete, EventRecord, Write


def pod_event(owner: Any, write: Write, answer: Any) -> EventRecord | None:
    """The owner's event about a pod created or deleted, or about the failure to; None for other writes.

    For `Writer.apply(tell=...)`: `answer` is the created pod or the error. In a namespace that ends nothing is told.
    """
    failed = isinstance(answer, ApiError)
    if isinstance(write, Create):
        if failed:
            if namespace_ends(answer):
                return None
            return EventRecord(owner, "Warning", "FailedCreate", f"Error creating: {answer.message}")
        return EventRecord(owner, "Normal", "SuccessfulCreate", f"Created pod: {answer.metadata.name}")
    if isinstance(write, Delete):
        if failed:
            return EventRecord(owner, "Warning", "FailedDelete", f"Error deleting: {answer.message}")
        return EventRecord(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {write.name}")
    return None
