"""Controllers that do one small thing each, in a cluster with all of them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

from tests.controllers.test_together import TEMPLATE, Cluster, in_cluster

from sampan.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SECRETS,
    SERVICES,
)
from sampan.client.base import DeleteOptions
from sampan.controllers.settings import ManagerSettings
from sampan.lib import pki


def test_endpoints_written_by_hand_are_mirrored(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(SERVICES, "db", spec={"ports": [{"name": "sql", "port": 5432}]})
        await c.make(ENDPOINTS, "db", subsets=[{"addresses": [{"ip": "192.0.2.50"}], "ports": [{"name": "sql", "port": 5432}]}])

        async def mirrored() -> bool:
            slices = await c.all(ENDPOINT_SLICES, "kubernetes.io/service-name=db")
            return [e.addresses for s in slices for e in s.endpoints or ()] == [["192.0.2.50"]]

        await c.until(mirrored, "a slice with the address")

    in_cluster(tmp_path, check)


def test_nodes_get_a_range_and_a_time_to_live(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        async def furnished() -> bool:
            nodes = await c.all(NODES)
            ranges = {node.spec.podCIDR for node in nodes}
            return (len(ranges - {""}) == 2 and all(r.startswith("10.50.") and r.endswith("/24") for r in ranges)
                    and all(node.metadata.annotations.get("node.alpha.kubernetes.io/ttl") == "0" for node in nodes))

        await c.until(furnished, "ranges and annotations")

    in_cluster(tmp_path, check, nodes=2, settings=ManagerSettings(allocate_node_cidrs=True, cluster_cidr=("10.50.0.0/16",)))


def test_a_pod_on_a_node_that_does_not_exist_is_collected(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(PODS, "lost", spec={**TEMPLATE["spec"], "nodeName": "nowhere"})

        async def gone() -> bool:
            return await c.get(PODS, "lost") is None

        await c.until(gone, "the pod is gone", step=5.0)

    in_cluster(tmp_path, check)


def test_a_claim_in_use_outlives_its_deletion(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(PERSISTENT_VOLUME_CLAIMS, "data", spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}})
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
        await c.make(PODS, "user", spec={**TEMPLATE["spec"], "volumes": [volume], "nodeName": "node-0"})
        await c.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "default")
        await c.clock.advance(10)
        assert (await c.get(PERSISTENT_VOLUME_CLAIMS, "data")).metadata.deletionTimestamp is not None
        await c.client.delete(PODS, "user", "default", DeleteOptions(grace_period_seconds=0))

        async def gone() -> bool:
            return await c.get(PERSISTENT_VOLUME_CLAIMS, "data") is None

        await c.until(gone, "the claim is gone")

    in_cluster(tmp_path, check)


def test_secrets_for_accounts_are_filled_in(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(SECRETS, "mine", type="kubernetes.io/service-account-token",
                     metadata={"annotations": {"kubernetes.io/service-account.name": "default"}})

        async def filled() -> bool:
            return set((await c.get(SECRETS, "mine")).data) == {"ca.crt", "namespace", "token"}

        await c.until(filled, "token, authority and namespace")

    settings = ManagerSettings(root_ca=b"-----BEGIN CERTIFICATE-----\n", service_account_private_key=pki.new_signing_key())
    in_cluster(tmp_path, check, settings=settings)


def test_an_approved_request_is_signed(tmp_path: Path) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - certificates are judged by real time
    ca = pki.new_ca("test", now=now)
    request = pki.new_request(pki.Names("alice", ("devs",)), key=ca.key)

    async def check(c: Cluster) -> None:
        made = await c.make(CERTIFICATE_SIGNING_REQUESTS, "alice", spec={
            "request": base64.b64encode(request).decode(), "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]})
        await c.client.patch(CERTIFICATE_SIGNING_REQUESTS, made.metadata.name, "", {"status": {"conditions": [
            {"type": "Approved", "status": "True", "reason": "Test", "message": ""}]}}, subresource="approval")

        async def signed() -> bool:
            return bool((await c.get(CERTIFICATE_SIGNING_REQUESTS, "alice")).status.certificate)

        await c.until(signed, "a certificate")
        found = await c.get(CERTIFICATE_SIGNING_REQUESTS, "alice")
        assert pki.signed_by(found.status.certificate, ca.certificate)

    in_cluster(tmp_path, check, settings=ManagerSettings(cluster_signing_cert=ca.certificate, cluster_signing_key=ca.key))
