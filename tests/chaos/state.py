"""The state of a world, without what two runs of one script may differ in, and what must be true of every state."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from chaos.world import World
from sampan.api import codec
from sampan.api.quantity import milli
from sampan.api.resources import (
    CONFIG_MAPS,
    CONTROLLER_REVISIONS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)

COMPARED = (CONFIG_MAPS, CONTROLLER_REVISIONS, CRON_JOBS, DAEMON_SETS, DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, HORIZONTAL_POD_AUTOSCALERS,
            JOBS, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, POD_DISRUPTION_BUDGETS, PODS, PRIORITY_CLASSES, REPLICA_SETS,
            RESOURCE_QUOTAS, SERVICE_ACCOUNTS, SERVICES, STATEFUL_SETS)
# times, identities, counters of changes, and places that the scheduler, the binder and allocators are free to choose
FREE = frozenset((
    "uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "observedGeneration", "revision", "lastTransitionTime",
    "lastProbeTime", "lastUpdateTime", "lastHeartbeatTime", "lastScaleTime", "startTime", "completionTime", "startedAt", "finishedAt",
    "lastScheduleTime", "lastSuccessfulTime", "lastPhaseTransitionTime", "containerID", "podIP", "podIPs", "hostIP", "hostIPs", "nodeName", "volumeName", "clusterIP", "clusterIPs",
    "restartCount", "failed", "ip", "addresses", "targetRef", "subsets", "claimRef", "images", "nodeInfo", "controller-uid", "batch.kubernetes.io/controller-uid"))
REVISIONS = ("deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history", "endpoints.kubernetes.io/last-change-trigger-time",
             "batch.kubernetes.io/cronjob-scheduled-timestamp")
GENERATED = re.compile(r"(?<=tick-)\d+|(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}\b")


def _was_taken_back(one: Any) -> bool:
    """A disruption that was announced, and did not come: the pod is as it was, as upstream has it."""
    return isinstance(one, dict) and one.get("type") == "DisruptionTarget" and one.get("status") == "False"


def plain(value: Any) -> Any:
    """A value without what is free."""
    if isinstance(value, dict):
        if value.get("type") == "ReplicaFailure":
            value = {**value, "message": ""}  # as upstream, the first failure's, until there is none
        return {key: plain(one) for key, one in value.items() if key not in FREE and key not in REVISIONS}
    if isinstance(value, list):
        return [plain(one) for one in value if not _was_taken_back(one)]
    return GENERATED.sub("*", value) if isinstance(value, str) else value


def lines(prefix: str, value: Any) -> list[str]:
    """A value as one line a leaf."""
    if isinstance(value, dict) and value:
        return [line for key in sorted(value) for line in lines(f"{prefix}.{key}", value[key])]
    if isinstance(value, list) and value:
        return [line for one in value for line in lines(f"{prefix}[{one.get('type', '') if isinstance(one, dict) else ''}]", one)]
    return [f"{prefix} = {value!r}"]


async def state(world: World) -> list[str]:
    """Every object as sorted lines; objects that differ in nothing but free things look the same."""
    found = []
    for resource in COMPARED:
        for obj in await world.all(resource):
            if resource is PODS and obj.status.phase in ("Succeeded", "Failed"):
                continue  # whether one is left depends on which node it ran; what it did is in its Job's status
            value = plain(codec.to_builtins(obj))
            if resource in (ENDPOINTS, ENDPOINT_SLICES):
                value["ready"] = ready_endpoints(obj)
                value.pop("endpoints", None)
                value["metadata"].pop("annotations", None)
            if resource is PERSISTENT_VOLUMES:  # which of equal ones a claim was given is the binder's to choose
                del value["spec"]["hostPath"]
                value["metadata"]["name"] = "*"
            meta = value["metadata"]
            found += lines(f"{resource.kind} {meta.get('namespace', '')}/{meta['name']}", value)
    return sorted(found)


def ready_endpoints(obj: Any) -> int:
    """How many addresses of an Endpoints or EndpointSlice are ready."""
    if hasattr(obj, "subsets"):
        return sum(len(subset.addresses) for subset in obj.subsets)
    return sum(bool(one.conditions.ready) for one in obj.endpoints)


async def wrong(world: World) -> list[str]:
    """What must never be so at the end, whatever the script."""
    found = []
    pods = await world.all(PODS)
    live = [pod for pod in pods if pod.status.phase not in ("Succeeded", "Failed")]
    uids = {obj.metadata.uid for resource in COMPARED for obj in await world.all(resource)}
    for resource in COMPARED:
        for obj in await world.all(resource):
            meta, name = obj.metadata, f"{resource.kind} {obj.metadata.namespace}/{obj.metadata.name}"
            if meta.deletionTimestamp is not None:
                found.append(f"{name} is still being deleted, finalizers {meta.finalizers}" + (f", on {obj.spec.nodeName}" if resource is PODS else ""))
            found += [f"{name} is orphaned: {owner.kind} {owner.name} is gone" for owner in meta.ownerReferences
                      if owner.uid not in uids and owner.kind != "Node"]
    found += [f"pod {pod.metadata.name} has kept {pod.metadata.finalizers}" for pod in pods if pod.metadata.finalizers]
    index = "batch.kubernetes.io/job-completion-index"
    for (job, number), times in Counter((pod.metadata.labels["job-name"], pod.metadata.annotations[index]) for pod in pods
                                        if index in pod.metadata.annotations and pod.status.phase != "Failed").items():
        if times > 1:
            found.append(f"job {job} has {times} pods of index {number}")
    for (owner, node), times in Counter((pod.metadata.ownerReferences[0].name, pod.spec.nodeName) for pod in live
                                        if pod.metadata.ownerReferences and pod.metadata.ownerReferences[0].kind == "DaemonSet").items():
        if times > 1:
            found.append(f"daemon set {owner} has {times} pods on {node}")
    bound = Counter(claim.spec.volumeName for claim in await world.all(PERSISTENT_VOLUME_CLAIMS) if claim.spec.volumeName)
    found += [f"volume {name} belongs to {times} claims" for name, times in bound.items() if times > 1]
    return found + await crowded(world) + await served_wrongly(world, live)


async def crowded(world: World) -> list[str]:
    """Nodes whose pods ask for more than there is."""
    found = []
    pods = [pod for pod in await world.all(PODS) if pod.spec.nodeName and pod.status.phase not in ("Succeeded", "Failed")]
    for node in await world.all(NODES):
        asked = sum(milli(container.resources.requests.get("cpu", "0")) for pod in pods if pod.spec.nodeName == node.metadata.name
                    for container in pod.spec.containers if container.resources is not None)
        if asked > milli(node.status.allocatable.get("cpu", "0")):
            found.append(f"{node.metadata.name} has pods of {asked}m CPU, more than {node.status.allocatable['cpu']}")
    return found


async def served_wrongly(world: World, live: list[Any]) -> list[str]:
    """Services whose slices and endpoints do not lead to just the pods that are ready."""
    found = []
    for service in await world.all(SERVICES):
        if not service.spec.selector:
            continue
        meta = service.metadata
        want = sorted(pod.status.podIP for pod in live if pod.metadata.namespace == meta.namespace
                      and service.spec.selector.items() <= pod.metadata.labels.items()
                      and any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions))
        slices = await world.all(ENDPOINT_SLICES, f"kubernetes.io/service-name={meta.name}", meta.namespace)
        have = sorted(one.addresses[0] for part in slices for one in part.endpoints if one.conditions.ready)
        if have != want:
            found.append(f"service {meta.name} leads to {have}, ready are {want}")
        old = await world.get(ENDPOINTS, meta.name, meta.namespace)
        if (had := sorted(one.ip for subset in old.subsets for one in subset.addresses)) != want:
            found.append(f"endpoints {meta.name} lead to {had}, ready are {want}")
    return found
