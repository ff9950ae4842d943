"""Quotas, budgets, expiring Jobs, aggregated roles, certificate requests, tokens, claims in use."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from controllers.harness import World, run
from sampan.api import codec
from sampan.api.resources import (
    CERTIFICATE_SIGNING_REQUESTS,
    CLUSTER_ROLES,
    CONFIG_MAPS,
    JOBS,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from sampan.controllers.certificates.controller import ApprovingController, CleanerController, SigningController
from sampan.controllers.clusterroleaggregation.controller import ClusterRoleAggregationController
from sampan.controllers.disruption.controller import DisruptionController
from sampan.controllers.resourcequota.controller import ResourceQuotaController
from sampan.controllers.tokens.controller import TokensController
from sampan.controllers.tokens.sign import signer
from sampan.controllers.ttlafterfinished.controller import TtlAfterFinishedController
from sampan.controllers.volumeprotection.controller import ClaimProtectionController
from sampan.lib import pki

POD = {"containers": [{"name": "c", "image": "i"}]}


async def ready(world: World, name: str) -> None:
    await world.patch(PODS, name, {"status": {"phase": "Running", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}, subresource="status")


def test_a_quota_shows_what_is_there_and_what_was_freed() -> None:
    async def scenario(world: World) -> None:
        await world.make(CONFIG_MAPS, {"metadata": {"name": "one"}})
        await world.make(PODS, {"metadata": {"name": "p"}, "spec": POD})
        await world.make(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"count/configmaps": "9", "pods": "5"}}})
        await world.settle()
        used = (await world.get(RESOURCE_QUOTAS, "q")).status.used
        assert used["pods"] == "1"
        before = int(used["count/configmaps"])
        await world.delete(PODS, "p", grace_period_seconds=0)
        await world.delete(CONFIG_MAPS, "one")
        await world.settle()
        used = (await world.get(RESOURCE_QUOTAS, "q")).status.used
        assert (used["pods"], int(used["count/configmaps"])) == ("0", before - 1)

    run(lambda world: [ResourceQuotaController(world.context)], scenario)


def test_a_budget_counts_healthy_pods_and_fails_safe() -> None:
    async def scenario(world: World) -> None:
        for name in ("a", "b", "c"):
            await world.make(PODS, {"metadata": {"name": name, "labels": {"app": "w"}}, "spec": POD})
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "min"}, "spec": {"minAvailable": 2, "selector": {"matchLabels": {"app": "w"}}}})
        await world.settle()
        for name in ("a", "b", "c"):
            await ready(world, name)
        await world.settle()
        status = (await world.get(POD_DISRUPTION_BUDGETS, "min")).status
        assert (status.expectedPods, status.currentHealthy, status.disruptionsAllowed) == (3, 3, 1)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "gone", "uid": "u", "controller": True}
        await world.patch(PODS, "a", {"metadata": {"ownerReferences": [owner]}})
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "max"}, "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "w"}}}})
        await world.settle()
        condition = (await world.get(POD_DISRUPTION_BUDGETS, "max")).status.conditions[0]
        assert (condition.reason, condition.message) == ("SyncFailed", 'found no controllers for pod "a"')

    run(lambda world: [DisruptionController(world.context)], scenario)


def test_a_percentage_is_taken_of_the_controllers_scale() -> None:
    async def scenario(world: World) -> None:
        rs = await world.make(REPLICA_SETS, {"metadata": {"name": "w"}, "spec": {"replicas": 4, "selector": {"matchLabels": {"app": "w"}},
                                             "template": {"metadata": {"labels": {"app": "w"}}, "spec": POD}}})
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "w", "uid": rs.metadata.uid, "controller": True}
        for name in ("a", "b", "c"):
            await world.make(PODS, {"metadata": {"name": name, "labels": {"app": "w"}, "ownerReferences": [owner]}, "spec": POD})
            await ready(world, name)
        await world.make(POD_DISRUPTION_BUDGETS, {"metadata": {"name": "b"}, "spec": {"maxUnavailable": "34%", "selector": {"matchLabels": {"app": "w"}}}})
        await world.settle()
        status = (await world.get(POD_DISRUPTION_BUDGETS, "b")).status
        assert (status.expectedPods, status.desiredHealthy, status.disruptionsAllowed) == (4, 2, 1)

    run(lambda world: [DisruptionController(world.context)], scenario)


def test_a_finished_job_goes_when_its_time_is_over() -> None:
    async def scenario(world: World) -> None:
        await world.make(JOBS, {"metadata": {"name": "j"}, "spec": {"ttlSecondsAfterFinished": 100, "template": {"spec": {**POD, "restartPolicy": "Never"}}}})
        now = "2026-01-01T00:00:00Z"
        await world.patch(JOBS, "j", {"status": {"startTime": now, "completionTime": now, "conditions": [
            {"type": name, "status": "True", "reason": "x", "lastProbeTime": now, "lastTransitionTime": now}
            for name in ("SuccessCriteriaMet", "Complete")]}}, subresource="status")
        await world.settle()
        await world.clock.advance(99)
        await world.settle()
        assert (await world.get(JOBS, "j")).metadata.deletionTimestamp is None
        await world.clock.advance(2)
        await world.settle()
        left = await world.get(JOBS, "j")
        assert left is None or left.metadata.deletionTimestamp is not None

    run(lambda world: [TtlAfterFinishedController(world.context)], scenario)


def test_an_aggregated_role_follows_those_it_selects() -> None:
    async def scenario(world: World) -> None:
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
        await world.make(CLUSTER_ROLES, {"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}, "rules": []})
        await world.make(CLUSTER_ROLES, {"metadata": {"name": "part", "labels": {"to": "all"}}, "rules": [rule]})
        await world.settle()
        assert codec.to_builtins((await world.get(CLUSTER_ROLES, "all")).rules)[0]["resources"] == ["pods"]
        await world.delete(CLUSTER_ROLES, "part")
        await world.settle()
        assert not (await world.get(CLUSTER_ROLES, "all")).rules

    run(lambda world: [ClusterRoleAggregationController(world.context)], scenario)


def test_an_approved_request_is_signed_a_wrong_one_fails_and_old_ones_go() -> None:
    authority: list[pki.Pair] = []

    def build(world: World) -> list[Any]:
        authority.append(pki.new_ca("test", now=world.clock.now()))
        return [ApprovingController(world.context), SigningController(world.context, authority[0], timedelta(days=365)),
                CleanerController(world.context)]

    async def scenario(world: World) -> None:
        key = pki.new_signing_key()
        for name, usages in (("good", ["client auth"]), ("bad", ["server auth"])):
            request = pki.new_request(pki.Names("somebody"), key=key)
            await world.make(CERTIFICATE_SIGNING_REQUESTS, codec.loads(codec.encode({"metadata": {"name": name}, "spec": {
                "request": request, "signerName": pki.KUBE_APISERVER_CLIENT, "usages": usages}})))
            await world.settle()
            assert not (await world.get(CERTIFICATE_SIGNING_REQUESTS, name)).status.certificate
            now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            await world.patch(CERTIFICATE_SIGNING_REQUESTS, name, {"status": {"conditions": [
                {"type": "Approved", "status": "True", "reason": "x", "lastUpdateTime": now}]}}, subresource="approval")
        await world.settle()
        good, bad = [await world.get(CERTIFICATE_SIGNING_REQUESTS, name) for name in ("good", "bad")]
        assert pki.facts_of(good.status.certificate).names.common_name == "somebody"
        assert pki.signed_by(good.status.certificate, authority[0].certificate)
        assert [one.type for one in bad.status.conditions] == ["Approved", "Failed"]
        await world.clock.advance(3700)
        await world.settle()
        assert await world.all(CERTIFICATE_SIGNING_REQUESTS) == []

    run(build, scenario)


def test_a_token_secret_is_filled_and_goes_with_its_account() -> None:
    async def scenario(world: World) -> None:
        await world.make(SERVICE_ACCOUNTS, {"metadata": {"name": "bot"}})
        await world.make(SECRETS, {"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "bot"}},
                                   "type": "kubernetes.io/service-account-token"})
        await world.settle()
        data = (await world.get(SECRETS, "t")).data
        assert set(data) == {"ca.crt", "namespace", "token"}
        assert data["token"].count(b".") == 2
        await world.delete(SERVICE_ACCOUNTS, "bot")
        await world.settle()
        assert await world.get(SECRETS, "t") is None

    run(lambda world: [TokensController(world.context, signer(pki.new_signing_key()), b"a CA")], scenario)


def test_a_claim_stays_as_long_as_a_pod_uses_it() -> None:
    async def scenario(world: World) -> None:
        spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": "x", "resources": {"requests": {"storage": "1Gi"}}}
        await world.make(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}, "spec": spec})
        volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]
        await world.make(PODS, {"metadata": {"name": "p"}, "spec": {**POD, "nodeName": "n1", "volumes": volumes}})
        await world.settle()
        await world.delete(PERSISTENT_VOLUME_CLAIMS, "c")
        await world.settle()
        assert (await world.get(PERSISTENT_VOLUME_CLAIMS, "c")).metadata.deletionTimestamp is not None
        await world.delete(PODS, "p", grace_period_seconds=0)
        await world.settle()
        assert await world.get(PERSISTENT_VOLUME_CLAIMS, "c") is None

    run(lambda world: [ClaimProtectionController(world.context)], scenario)
