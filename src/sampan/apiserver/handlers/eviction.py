"""Evicting a pod: a deletion that its disruption budget must allow.

Source: kubernetes `pkg/registry/core/pod/storage/eviction.go`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sampan.api import codec, selectors
from sampan.api.core.v1 import PodCondition
from sampan.api.errors import BadRequest, Conflict, Forbidden, OtherStatus, TooManyRequests
from sampan.api.meta.v1 import Condition, DeleteOptions, ObjectMeta, Preconditions
from sampan.api.policy.v1 import Eviction, PodDisruptionBudgetStatus
from sampan.api.resourceinfo import Resource
from sampan.api.resources import POD_DISRUPTION_BUDGETS, PODS
from sampan.api.scalars import Time
from sampan.apiserver import bodies
from sampan.apiserver.catalog import Served
from sampan.apiserver.deletion import validate_options
from sampan.apiserver.handlers.base import Api, Body, form_of, needs_verb, render, write_of
from sampan.apiserver.handlers.binding import SUCCESS, set_condition
from sampan.apiserver.handlers.create import check_namespace
from sampan.apiserver.options import write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response
from sampan.kinds.kind import Kind

EVICTIONS: Resource[Eviction] = Resource("policy", "v1", "evictions", "Eviction", "eviction", True, "sampan.api.policy.v1:Eviction")
_SERVED = Served(EVICTIONS, Kind(resource=EVICTIONS), EVICTIONS)
_BETA = replace(_SERVED, resource=replace(EVICTIONS, version="v1beta1"))  # taken as the same
MOST_DISRUPTED = 2000
VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."


async def eviction(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Evict, answer with a Status."""
    needs_verb(served, info.verb, info)
    form = form_of(info)
    raw = await bodies.read(body, info.headers.get("content-type", ""), "Eviction")
    options = write_options(info, "CreateOptions")
    served_as = _BETA if b"policy/v1beta1" in raw and codec.loads(raw).get("apiVersion") == "policy/v1beta1" else _SERVED
    sent = bodies.decode(served_as, raw, validation=options.validation, warnings=info.warnings)
    check_namespace(_SERVED, sent, info.namespace)
    if sent.metadata.name != info.name:
        raise BadRequest("name in URL does not match name in Eviction object")
    wanted = sent.deleteOptions or DeleteOptions()
    if options.dry_run and wanted.dryRun and wanted.dryRun != ["All"]:
        raise OtherStatus(f"Non-matching dry-run options in request and content: [All] and [{' '.join(wanted.dryRun)}]", code=500)
    validate_options(wanted)
    dry_run = options.dry_run or bool(wanted.dryRun)
    pods = api.catalog.of(PODS)
    pod = api.registry.entry(pods, info.namespace, info.name).object
    write = write_of(info, options)
    await api.registry.admit_other(pods, "CREATE", info.namespace, info.name, write, sent)
    budget = "" if _ignores_budgets(pod) else await _ask_budget(api, info, pod, dry_run=dry_run)
    if budget and (wanted.preconditions is None or wanted.preconditions.resourceVersion is None):
        known = wanted.preconditions or Preconditions()
        wanted.preconditions = Preconditions(uid=known.uid, resourceVersion=pod.metadata.resourceVersion)
        try:
            await _delete(api, info, wanted, dry_run=dry_run)
        except Conflict:
            raise still_processed(budget) from None
    else:
        await _delete(api, info, wanted, dry_run=dry_run)
    return render(SUCCESS, form, 201)


def _ignores_budgets(pod: Any) -> bool:
    return bool(pod.metadata.deletionTimestamp) or pod.status.phase in ("Succeeded", "Failed", "Pending")


def is_ready(pod: Any) -> bool:
    """Whether the pod's Ready condition is true."""
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)


async def _ask_budget(api: Api, info: RequestInfo, pod: Any, *, dry_run: bool) -> str:
    """Take one disruption; the name of the budget when the pod may go without, as it was when it was looked at."""
    found = []
    for entry in api.caches.of(POD_DISRUPTION_BUDGETS).entries(info.namespace):
        selector = entry.object.spec.selector
        if selector is not None and selectors.of_label_selector(selector).matches(pod.metadata.labels):
            found.append(entry.object)
    if len(found) > 1:
        raise OtherStatus("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.", code=500)
    if not found:
        return ""
    budget = found[0]
    if not is_ready(pod):
        if budget.spec.unhealthyPodEvictionPolicy == "AlwaysAllow":
            return str(budget.metadata.name)
        if budget.status.currentHealthy >= budget.status.desiredHealthy > 0:
            return str(budget.metadata.name)
    now, name = api.registry.now(), pod.metadata.name
    await api.registry.adjust(api.catalog.of(POD_DISRUPTION_BUDGETS), info.namespace, budget.metadata.name,
                              lambda new: take_disruption(new, name, now), dry_run=dry_run)
    return ""


def take_disruption(budget: Any, pod: str, now: Time) -> None:
    """Count one disruption, in place.

    Raises:
        TooManyRequests: None is left, or the controller has not looked at the budget yet.
        Forbidden: The budget's status can't be.
    """
    status, name = budget.status, budget.metadata.name
    if status.observedGeneration < budget.metadata.generation:
        raise still_processed(name)
    if status.disruptionsAllowed < 0:
        raise Forbidden.on("poddisruptionbudget", "policy", name, "pdb disruptions allowed is negative")
    if len(status.disruptedPods) > MOST_DISRUPTED:
        raise Forbidden.on("poddisruptionbudget", "policy", name,
                           "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if status.disruptionsAllowed == 0:
        raise TooManyRequests(VIOLATES, details={"causes": [{"reason": "DisruptionBudget", "message": why_not(name, status)}]})
    status.disruptionsAllowed -= 1
    if status.disruptionsAllowed == 0:
        wanted = Condition(type="DisruptionAllowed", status="False", observedGeneration=status.observedGeneration,
                           reason="InsufficientPods", lastTransitionTime=now)
        others = [one for one in status.conditions if one.type != wanted.type]
        was = next((one for one in status.conditions if one.type == wanted.type), None)
        if was is not None and was.status == wanted.status:
            wanted.lastTransitionTime = was.lastTransitionTime
        status.conditions = [*others, wanted]
    status.disruptedPods = {**status.disruptedPods, pod: now}


def why_not(name: str, status: PodDisruptionBudgetStatus) -> str:
    """Why a budget has no disruption left; when its controller failed, the numbers say nothing."""
    refusing = f"The disruption budget {name} does not allow evicting pods currently"
    told = next((one for one in status.conditions if one.type == "DisruptionAllowed" and one.status == "False" and one.message), None)
    if told is not None and told.reason == "SyncFailed":
        return f"{refusing} because it failed sync: {told.message}"
    if status.currentHealthy <= status.desiredHealthy:
        return f"The disruption budget {name} needs {status.desiredHealthy} healthy pods and has {status.currentHealthy} currently"
    return refusing if told is None else f"{refusing} ({told.reason}): {told.message}"


def still_processed(name: str) -> TooManyRequests:
    """The controller must look first."""
    return TooManyRequests(VIOLATES, details={"causes": [{
        "reason": "DisruptionBudget", "message": f"The disruption budget {name} is still being processed by the server."}],
        "retryAfterSeconds": 10})


def check_preconditions(wanted: Preconditions | None, meta: ObjectMeta) -> None:
    """The pod is the one that is meant: asked before anything is noted in it.

    Raises:
        Conflict: It is another one, or was changed.
    """
    if wanted is not None and wanted.uid and wanted.uid != meta.uid:
        raise Conflict.of("Pod", "", meta.name, f"the UID in the precondition ({wanted.uid}) does not match the UID in record "
                                                f"({meta.uid}). The object might have been deleted and then recreated")
    if wanted is not None and wanted.resourceVersion and wanted.resourceVersion != meta.resourceVersion:
        raise Conflict.of("Pod", "", meta.name, f"the ResourceVersion in the precondition ({wanted.resourceVersion}) does not match the "
                                                f"ResourceVersion in record ({meta.resourceVersion}). The object might have been modified")


async def _delete(api: Api, info: RequestInfo, options: DeleteOptions, *, dry_run: bool) -> None:
    pods = api.catalog.of(PODS)
    now = api.registry.now()

    def mark(pod: Any) -> None:
        check_preconditions(options.preconditions, pod.metadata)
        set_condition(pod, PodCondition(type="DisruptionTarget", status="True", reason="EvictionByEvictionAPI",
                                        message="Eviction API: evicting"), now)

    written = await api.registry.adjust(pods, info.namespace, info.name, mark, dry_run=dry_run)
    if options.preconditions is not None and options.preconditions.resourceVersion is not None:
        options.preconditions.resourceVersion = str(written.revision)
    write = write_of(info, write_options(info, "CreateOptions"))
    write.subresource, write.dry_run, write.options = "", dry_run, codec.to_builtins(options)
    await api.deleter.delete(pods, info.namespace, info.name, options, write)
