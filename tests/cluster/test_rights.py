"""Every controller as its own user, with the rights that the server's own roles give it, and no more."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import Forbidden
from sampan.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    CLUSTER_ROLES,
    DEPLOYMENTS,
    ENDPOINTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NAMESPACES,
    NODES,
    PODS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICE_CIDRS,
    SERVICES,
    STATEFUL_SETS,
    VALIDATING_ADMISSION_POLICIES,
)
from sampan.apiserver.server import Settings
from sampan.client.inprocess import InProcessClient
from sampan.cluster.controllers import ALL
from sampan.controllers.manager import Manager
from sampan.controllers.settings import ManagerSettings
from sampan.lib import pki
from sampan.testing import waiting
from sampan.testing.server import ADMIN, running_server

CA = pki.new_ca("test", now=datetime.now(UTC))  # noqa: TID251 - certificates are judged by real time
SPEC = {"containers": [{"name": "c", "image": "app:1"}]}
TEMPLATE = {"metadata": {"labels": {"app": "x"}}, "spec": SPEC}
SELECTOR = {"matchLabels": {"app": "x"}}
OBJECTS: list[tuple[Any, dict[str, Any]]] = [
    (NAMESPACES, {"metadata": {"name": "shop"}}),
    (DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": SELECTOR, "template": TEMPLATE}}),
    (STATEFUL_SETS, {"metadata": {"name": "db"}, "spec": {"serviceName": "db", "replicas": 1, "selector": SELECTOR, "template": TEMPLATE, "volumeClaimTemplates": [
        {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}}),
    (JOBS, {"metadata": {"name": "once"}, "spec": {"template": {"spec": {**SPEC, "restartPolicy": "Never"}}}}),
    (HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "h"}, "spec": {
        "minReplicas": 3, "maxReplicas": 5, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}}),
    (SERVICES, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]}}),
    (SERVICES, {"metadata": {"name": "outside"}, "spec": {"ports": [{"port": 80}]}}),
    (ENDPOINTS, {"metadata": {"name": "outside"}, "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]}),
    (RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "50"}}}),
    (NODES, {"metadata": {"name": "n", "labels": {"kubernetes.io/os": "linux"}}}),
    (CLUSTER_ROLES, {"metadata": {"name": "sum"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}),
    (CLUSTER_ROLES, {"metadata": {"name": "part", "labels": {"a": "b"}}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
    (SERVICE_ACCOUNTS, {"metadata": {"name": "robot"}, "secrets": [{"name": "token"}]}),
    (SECRETS, {"metadata": {"name": "token", "annotations": {"kubernetes.io/service-account.name": "robot"}}, "type": "kubernetes.io/service-account-token"}),
    (CERTIFICATE_SIGNING_REQUESTS, {"metadata": {"name": "kubelet"}, "spec": {
        "request": base64.b64encode(pki.new_request(pki.Names("system:node:n", ("system:nodes",)), key=CA.key)).decode(),
        "signerName": "kubernetes.io/kube-apiserver-client-kubelet", "usages": ["client auth", "digital signature"]}}),
    (SERVICE_CIDRS, {"metadata": {"name": "more"}, "spec": {"cidrs": ["10.110.1.0/24"]}}),
    (VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "p"}, "spec": {
        "matchConstraints": {"resourceRules": [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]},
        "validations": [{"expression": "object.spec.replicaz > 1"}]}}),
]


class Watched:
    """A client that remembers what it was forbidden."""

    def __init__(self, client: Any, name: str, refused: list[str]) -> None:
        self._client, self._name, self._refused = client, name, refused

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name in ("watch", "close"):
            return method

        async def call(*args: Any, **more: Any) -> Any:
            try:
                answer = await method(*args, **more)
            except Forbidden as error:
                self._refused.append(f"{self._name}: {error.message}")
                raise
            if name == "raw" and answer.code == 403:
                self._refused.append(f"{self._name}: {answer.body.decode()}")
            return answer

        return call


def test_no_controller_is_refused_what_it_does() -> None:
    async def main() -> None:
        clock, refused = VirtualClock(), list[str]()
        async with running_server(clock=clock, settings=Settings(users={"secret": ADMIN})) as server, Tasks() as tasks:
            def client_for(name: str) -> Any:
                # not as a trusted user, whom nobody asks: as one that somebody impersonates
                headers = {"Authorization": "Bearer secret", "Impersonate-User": name}
                return Watched(InProcessClient(server.server.app, None, headers=headers), name, refused)

            settings = ManagerSettings(
                horizontal_pod_autoscaler_sync_period=2.0, root_ca=CA.certificate, service_account_private_key=pki.new_signing_key(),
                cluster_signing_cert=CA.certificate, cluster_signing_key=CA.key, allocate_node_cidrs=True, cluster_cidr=("10.244.0.0/16",),
                controllers=("*", "bootstrap-signer-controller", "token-cleaner-controller"))
            manager = Manager(client_for, settings, clock=clock, identity=server.identity, entries=ALL)
            tasks.start(manager.run(), "controllers")
            await clock.advance(5)
            for resource, value in OBJECTS:
                body = {"apiVersion": resource.group_version, "kind": resource.kind, **value}
                body["metadata"] = {**value["metadata"], **({"namespace": "default"} if resource.namespaced else {})}
                await server.client.create(resource, codec.convert(resource.wire, body))
            for _ in range(12):
                await clock.turns(300)
                await clock.advance(1)
            assert refused == []
            assert (await server.client.get(DEPLOYMENTS, "web", "default")).spec.replicas == 3
            assert (await server.client.get(SERVICE_CIDRS, "more")).status.conditions[0].status == "True"
            assert (await server.client.get(VALIDATING_ADMISSION_POLICIES, "p")).status.typeChecking.expressionWarnings
            assert set((await server.client.get(SECRETS, "token", "default")).data) == {"token", "ca.crt", "namespace"}
            assert (await server.client.get(CERTIFICATE_SIGNING_REQUESTS, "kubelet")).status.certificate
            assert (await server.client.get(NODES, "n")).spec.podCIDR
            assert (await server.client.get(CLUSTER_ROLES, "sum")).rules
            assert (await server.client.get(RESOURCE_QUOTAS, "q", "default")).status.used
            await server.client.delete(SECRETS, "token", "default")
            assert len((await server.client.list(PODS, "default")).items) == 5
            for resource, value in [one for one in OBJECTS if one[0] is not SECRETS]:
                await server.client.delete(resource, value["metadata"]["name"], "default" if resource.namespaced else "")
            for _ in range(20):
                await clock.turns(300)
                await clock.advance(1)
            assert refused == []

    waiting.run(main())
