"""Evictions and disruption budgets."""

from __future__ import annotations

from typing import Any

import pytest

from api_asking import PODS, Asker, pod, with_server
from sampan.api.errors import Forbidden, TooManyRequests
from sampan.api.meta.v1 import Condition, ObjectMeta
from sampan.api.policy.v1 import PodDisruptionBudget, PodDisruptionBudgetStatus
from sampan.api.scalars import Time
from sampan.apiserver.handlers.eviction import take_disruption, why_not

NOW = Time("2026-01-01T00:00:00Z")
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"


def budget(**status: Any) -> PodDisruptionBudget:
    return PodDisruptionBudget(metadata=ObjectMeta(name="b", generation=1), status=PodDisruptionBudgetStatus(observedGeneration=1, **status))


def test_taking_the_last_disruption_is_written_down() -> None:
    one = budget(disruptionsAllowed=1)
    take_disruption(one, "p", NOW)
    assert (one.status.disruptionsAllowed, one.status.disruptedPods) == (0, {"p": NOW})
    assert [(c.type, c.status, c.reason) for c in one.status.conditions] == [("DisruptionAllowed", "False", "InsufficientPods")]


def test_none_left_or_not_looked_at_yet_means_later() -> None:
    with pytest.raises(TooManyRequests) as refused:
        take_disruption(budget(desiredHealthy=2, currentHealthy=2), "p", NOW)
    assert refused.value.details["causes"][0]["message"] == "The disruption budget b needs 2 healthy pods and has 2 currently"
    stale = budget(disruptionsAllowed=1)
    stale.metadata.generation = 2
    with pytest.raises(TooManyRequests) as refused:
        take_disruption(stale, "p", NOW)
    assert refused.value.details["retryAfterSeconds"] == 10
    with pytest.raises(Forbidden):
        take_disruption(budget(disruptionsAllowed=-1), "p", NOW)


async def running(asker: Asker, name: str, *, ready: bool) -> None:
    body = pod(name, nodeName="n")
    body["metadata"]["labels"] = {"a": "y"}
    await asker.must("POST", PODS, body)
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    assert (await asker.merge(f"{PODS}/{name}/status", {"status": {"phase": "Running", "conditions": conditions}}))[0] == 200


def evict(name: str) -> dict[str, Any]:
    return {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}


def test_a_budget_is_asked_and_charged() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"a": "y"}}, "minAvailable": 1}})
        await running(asker, "p", ready=True)
        assert (await asker.ask("POST", f"{PODS}/p/eviction", evict("p")))[0] == 429
        status = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 2}
        await asker.merge(f"{BUDGETS}/b/status", {"status": status})
        assert (await asker.ask("POST", f"{PODS}/p/eviction", evict("p")))[0] == 201
        leaving = await asker.must("GET", f"{PODS}/p")
        assert "DisruptionTarget" in [one["type"] for one in leaving["status"]["conditions"]]
        assert (await asker.must("GET", f"{BUDGETS}/b"))["status"]["disruptionsAllowed"] == 0

    with_server(test)


def test_two_budgets_for_one_pod_are_an_error() -> None:
    async def test(asker: Asker) -> None:
        for name in ("a", "b"):
            await asker.must("POST", BUDGETS, {"metadata": {"name": name}, "spec": {"selector": {}, "minAvailable": 1}})
        await running(asker, "p", ready=True)
        code, value = await asker.ask("POST", f"{PODS}/p/eviction", evict("p"))
        assert (code, "more than one PodDisruptionBudget" in value["message"]) == (500, True)

    with_server(test)


def test_pods_that_do_not_run_go_without_asking() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": {"selector": {}, "minAvailable": 1}})
        await asker.must("POST", PODS, pod("p"))
        assert (await asker.ask("POST", f"{PODS}/p/eviction", evict("p")))[0] == 201
        assert (await asker.ask("GET", f"{PODS}/p"))[0] == 404

    with_server(test)


def test_an_unready_pod_goes_when_enough_others_are_healthy_or_the_policy_says_always() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"a": "y"}}, "minAvailable": 2}})
        await running(asker, "p", ready=False)
        await running(asker, "q", ready=False)
        for healthy, expected in ((1, 429), (2, 201)):
            status = {"observedGeneration": 1, "currentHealthy": healthy, "desiredHealthy": 2, "expectedPods": 3}
            await asker.merge(f"{BUDGETS}/b/status", {"status": status})
            assert (await asker.ask("POST", f"{PODS}/p/eviction", evict("p")))[0] == expected
        await asker.merge(f"{BUDGETS}/b", {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}})
        await asker.merge(f"{BUDGETS}/b/status", {"status": {"observedGeneration": 2, "currentHealthy": 0}})
        assert (await asker.ask("POST", f"{PODS}/q/eviction", evict("q")))[0] == 201

    with_server(test)


def test_an_empty_selector_has_pods_without_labels_too() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", BUDGETS, {"metadata": {"name": "b"}, "spec": {"selector": {}, "minAvailable": 1}})
        await asker.must("POST", PODS, pod("p", nodeName="n"))
        await asker.merge(f"{PODS}/p/status", {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})
        assert (await asker.ask("POST", f"{PODS}/p/eviction", evict("p")))[0] == 429

    with_server(test)


@pytest.mark.parametrize(("healthy", "reason", "message", "words"), [
    (2, "", "", "The disruption budget b needs 2 healthy pods and has 2 currently"),
    (3, "InsufficientPods", "", "The disruption budget b does not allow evicting pods currently"),
    (3, "Other", "why", "The disruption budget b does not allow evicting pods currently (Other): why"),
    (1, "SyncFailed", "no scale", "The disruption budget b does not allow evicting pods currently because it failed sync: no scale"),
])
def test_a_budget_says_why_it_has_no_disruption_left(healthy: int, reason: str, message: str, words: str) -> None:
    conditions = [Condition(type="DisruptionAllowed", status="False", reason=reason, message=message)] if reason else []
    assert why_not("b", budget(desiredHealthy=2, currentHealthy=healthy, conditions=conditions).status) == words


def test_an_eviction_of_another_pod_of_that_name_notes_nothing() -> None:
    async def test(asker: Asker) -> None:
        await running(asker, "p", ready=True)
        code, value = await asker.ask("POST", f"{PODS}/p/eviction", evict("p") | {"deleteOptions": {"preconditions": {"uid": "other"}}})
        assert (code, value["reason"]) == (409, "Conflict")
        assert value["message"].startswith('Operation cannot be fulfilled on Pod "p": the UID in the precondition (other) does not match')
        conditions = (await asker.must("GET", f"{PODS}/p"))["status"]["conditions"]
        assert [one["type"] for one in conditions] == ["Ready"]

    with_server(test)


def test_the_older_version_is_taken_and_the_two_places_for_dry_run_must_agree() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", PODS, pod("p"))
        path = f"{PODS}/p/eviction?dryRun=All"
        code, value = await asker.ask("POST", path, {"metadata": {"name": "p"}, "deleteOptions": {"dryRun": ["x"]}})
        assert (code, value["message"]) == (500, "Non-matching dry-run options in request and content: [All] and [x]")
        for version, wanted in (("policy/v1", 201), ("policy/v1beta1", 201), ("policy/v2", 400)):
            body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "p"}}
            assert (await asker.ask("POST", path, body))[0] == wanted

    with_server(test)
