"""The contract of admission plugins and what they are given.

Source: `k8s.io/apiserver/pkg/admission`. Mutating plugins run in the order of `all.ALL`, then validation of the
object, then validating plugins. A plugin changes `request.object` in place (it was made for this request alone).
"""

from __future__ import annotations

from typing import Any, Literal, Protocol

import msgspec

from sampan.api.resourceinfo import Resource
from sampan.apiserver.request import User

Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]


class Reinvocation(msgspec.Struct, eq=False):
    """The second round of the mutating plugins: one sets `wanted` when it changed what plugins before it had seen.

    Source: apiserver `pkg/admission/reinvocation.go`.
    """

    second: bool = False
    wanted: bool = False
    memory: dict[str, Any] = {}
    """What plugins keep from the first round for the second, by their names."""


class AdmissionRequest(msgspec.Struct, eq=False):
    """One write on its way. `object` is a Struct (a dict for custom resources), None for DELETE."""

    operation: Operation
    resource: Resource[Any]
    subresource: str
    namespace: str
    name: str
    user: User
    object: Any = None
    old: Any = None
    options: dict[str, Any] = {}
    dry_run: bool = False
    warnings: list[str] = []
    audit_annotations: dict[str, str] = {}
    reinvocation: Reinvocation = msgspec.field(default_factory=Reinvocation)


class Admission(Protocol):
    """One plugin under its upstream name."""

    name: str

    def handles(self, request: AdmissionRequest) -> bool:
        """Cheap: whether the plugin has anything to say about this operation and resource."""
        ...


class Mutating(Admission, Protocol):
    async def admit(self, request: AdmissionRequest) -> None:
        """Change `request.object`, or refuse. It is called again when a webhook authorizer has to be asked first (`Undecided`):
        until then it has changed nothing.

        Raises:
            ApiError: Forbidden as a rule; it becomes the answer.
        """
        ...


class Validating(Admission, Protocol):
    async def validate(self, request: AdmissionRequest) -> None:
        """Look at the final object; refuse or not.

        Raises:
            ApiError: Forbidden as a rule; it becomes the answer.
        """
        ...
