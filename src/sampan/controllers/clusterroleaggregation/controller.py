"""The control loop of aggregated ClusterRoles; it applies, so that it owns `rules` and nothing else."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.rbac.v1 import ClusterRole
from sampan.api.resources import CLUSTER_ROLES
from sampan.client.base import APPLY_PATCH
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.clusterroleaggregation.decide import rules


class ClusterRoleAggregationController(Controller):
    """Keeps aggregated roles equal to what they select."""

    name = "clusterrole-aggregation-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._roles = self.informers.of(CLUSTER_ROLES)
        self._aggregated = self._roles.index(lambda role: ("aggregated",) if role.aggregationRule is not None else ())
        self.loop.watch(self._roles, self._concerned)

    def _concerned(self, role: ClusterRole) -> list[Key]:
        own = [key_of(role)] if role.aggregationRule is not None else []
        return [*own, *self._aggregated.keys("aggregated")]

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        role = self._roles.get(key)
        if role is None or role.aggregationRule is None or not self.writer.fresh(key):
            return DONE
        wanted = rules(role, self._roles.items())
        if wanted == (role.rules or []):
            return DONE
        # without any, rules are left out: what was written by others stays, what was written here goes
        patch: dict[str, Any] = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": key.name}}
        patch |= {"rules": codec.to_builtins(wanted)} if wanted else {}
        answer = await self.client.patch(CLUSTER_ROLES, key.name, "", patch, type=APPLY_PATCH, force=True,
                                         field_manager="clusterrole-aggregation-controller")
        self.writer.wrote(key, CLUSTER_ROLES, answer)
        return DONE
