"""The control loop of ValidatingAdmissionPolicies' status. Owns asking the server for the types (its OpenAPI documents)."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.admissionregistration.v1 import ValidatingAdmissionPolicy
from sampan.api.errors import ServiceUnavailable
from sampan.api.resources import VALIDATING_ADMISSION_POLICIES
from sampan.control.catalog import Catalog
from sampan.control.controller import Context, Controller
from sampan.control.key import Key
from sampan.controllers.policystatus.decide import Kind, Schema, decide, kinds, params_kind, schema_of


class PolicyStatusController(Controller):
    """Warns of expressions that can't be true of the objects they are about."""

    name = "validatingadmissionpolicy-status-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._policies = self.informers.of(VALIDATING_ADMISSION_POLICIES)
        self._catalog = Catalog(self.informers)
        self.loop.wait_for(self._catalog.definitions)
        self.loop.watch(self._policies)

    async def reconcile(self, key: Key) -> None:
        """See `Controller.reconcile`."""
        policy = self._policies.get(key)
        if policy is None:
            self.writer.forget(key)
            return
        if not self.writer.fresh(key) or policy.metadata.generation <= policy.status.observedGeneration:
            return
        await self.writer.do(key, await self._decide(policy))

    async def _decide(self, policy: ValidatingAdmissionPolicy) -> Any:
        documents: dict[str, Schema] = {}
        found = {kind: await self._schema(kind, documents) for kind in kinds(policy, self._catalog.with_verbs("get"))}
        params = params_kind(policy)
        schema = await self._schema(params, documents) if params is not None else None
        return decide(policy, {kind: one for kind, one in found.items() if one is not None}, schema)

    async def _schema(self, kind: Kind, documents: dict[str, Schema]) -> Schema | None:
        path = f"/openapi/v3/apis/{kind.group}/{kind.version}" if kind.group else f"/openapi/v3/api/{kind.version}"
        if path not in documents:
            answer = await self.client.raw("GET", path, headers={"Accept": "application/json"})
            if answer.code >= 500:
                raise ServiceUnavailable(f"{path} answered {answer.code}: the types of {kind} are asked for again")
            documents[path] = codec.loads(answer.body) if answer.code == 200 else {}
        return schema_of(documents[path], kind)
