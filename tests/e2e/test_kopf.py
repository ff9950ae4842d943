"""An operator on kopf, in Python: handlers with retries, finalizers, status patches, timers, events and peering."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from e2e.programs import Program, running
from e2e.real import Cluster, Space
from sampan.testing.ports import free_port
from sampan.testing.waiting import until_true

pytestmark = pytest.mark.e2e

GROUP = "gardens.example.com"
ANYTHING = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def definition(group: str, kind: str, plural: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.{group}"},
            "spec": {"group": group, "scope": "Namespaced", "names": {"plural": plural, "singular": kind.lower(), "kind": kind}, "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", **schema}}, **more}]}}


DEFINITIONS = [
    definition(GROUP, "Garden", "gardens", {"properties": {
        "spec": {"type": "object", "properties": {"plants": {"type": "array", "items": {"type": "string"}}}}, "status": ANYTHING}}, subresources={"status": {}}),
    definition("kopf.dev", "KopfPeering", "kopfpeerings", {"properties": {"status": ANYTHING}}),
]


@pytest.fixture(scope="module")
def cluster(simulated_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the kinds of the operator and of kopf."""
    names = [f"crd/{one['metadata']['name']}" for one in DEFINITIONS]  # type: ignore[index]
    for one in DEFINITIONS:
        simulated_cluster.kubectl("create", "-f", "-", input=json.dumps(one))
    simulated_cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=120s")
    yield simulated_cluster
    simulated_cluster.kubectl("delete", *names, "--timeout=120s")


@pytest.fixture
def space(cluster: Cluster, simulated_space: Space) -> Iterator[Space]:
    assert cluster is simulated_space.cluster
    yield simulated_space
    # a garden whose operator is gone would keep its namespace
    for name in simulated_space.kubectl("get", "gardens", "-o", "name").stdout.split():
        simulated_space.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


Start = Callable[..., Program]


@pytest.fixture
def start(space: Space, tmp_path: Path) -> Iterator[Start]:
    """Start an operator for the test's namespace; all are gone at the end."""
    with ExitStack() as stack:
        def started(name: str, *words: str) -> Program:
            source = Path(__file__).parent / "kopf_operator.py"
            program = [sys.executable, "-m", "kopf", "run", str(source), "-n", space.name, "--liveness", f"http://127.0.0.1:{free_port()}/healthz", *words]
            environment = {**space.cluster.environment, "GARDENER": name}
            return stack.enter_context(running(program, environment, tmp_path / f"{name}.log"))

        yield started


def garden(name: str, *plants: str) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Garden", "metadata": {"name": name}, "spec": {"plants": list(plants)}}


def waited(space: Space, operator: Program, question: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
    """The Garden `home` once something holds of its status, while the operator runs."""
    def answer() -> dict[str, Any] | None:
        assert operator.running(), operator.said[-3000:]
        found: dict[str, Any] = space.get("garden", "home")
        return found if question(found.get("status", {})) else None

    try:
        found = until_true(answer, what)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{operator.said[-3000:]}") from None
    assert found is not None
    return found


def beds(space: Space) -> dict[str, str]:
    found = space.get("configmaps", "-l", "bed") or {"items": []}  # an empty list prints nothing
    return {one["metadata"]["name"]: one["data"]["plant"] for one in found["items"]}


def test_a_garden_is_planted_watered_changed_and_harvested(space: Space, start: Start) -> None:
    operator = start("only", "--standalone")
    # when a garden is made, whose first planting fails for a moment
    space.apply(garden("home", "rose", "leek"))
    # then the operator tries again and says what it did, in status, events and children
    made = waited(space, operator, lambda status: status.get("phase") == "Planted" and "plant" in status, "the garden is planted")
    assert made["status"]["plant"] == {"beds": 2, "tries": 2}
    assert made["metadata"]["finalizers"] == ["gardens.example.com/gardener"]
    assert beds(space) == {"home-rose": "rose", "home-leek": "leek"}
    owner = space.get("configmap", "home-rose")["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Garden", made["metadata"]["uid"], True)
    until_true(lambda: "2 beds" in space.kubectl("events", "--for", f"garden.v1.{GROUP}/home").stdout, "the operator's event")
    # and its timer goes on
    seen = made["status"].get("watered", 0)
    waited(space, operator, lambda status: status.get("watered", 0) >= seen + 3, "the timer runs")
    # when plants, labels and a child change
    space.kubectl("patch", "garden", "home", "--type=merge", "-p", '{"spec":{"plants":["rose","kale"]}}')
    until_true(lambda: beds(space) == {"home-rose": "rose", "home-kale": "kale"}, "the beds are changed")
    space.kubectl("label", "garden", "home", "fence=oak")
    waited(space, operator, lambda status: status.get("fence") == "oak", "the fence is seen")
    space.kubectl("patch", "configmap", "home-rose", "-p", '{"data":{"plant":"weed"}}')
    until_true(lambda: beds(space)["home-rose"] == "rose", "the weed is pulled")
    # when it is deleted the harvest comes first, then the beds go
    gone = space.kubectl("delete", "garden", "home", "--timeout=120s", check=False)
    assert gone.returncode == 0, f"{gone.stderr}{space.get('garden', 'home')}\n{operator.said[-3000:]}"
    assert space.get("configmap", "harvest-home")["data"] == {"plants": "rose,kale"}
    until_true(lambda: beds(space) == {}, "the beds are gone")
    assert operator.stop() == 0, operator.said[-3000:]


def test_what_changed_while_no_operator_ran_is_caught_up_with(space: Space, start: Start) -> None:
    operator = start("early", "--standalone")
    space.apply(garden("home", "rose"))
    waited(space, operator, lambda status: status.get("phase") == "Planted", "the garden is planted")
    assert operator.stop() == 0
    space.kubectl("patch", "garden", "home", "--type=merge", "-p", '{"spec":{"plants":["kale"]}}')
    space.kubectl("delete", "garden", "home", "--wait=false")
    assert space.get("garden", "home")["metadata"]["deletionTimestamp"]
    start("late", "--standalone")
    until_true(lambda: space.get("garden", "home") is None, "the garden is gone")
    assert space.get("configmap", "harvest-home")["data"] == {"plants": "kale"}


def test_of_two_peers_the_one_with_priority_works(space: Space, start: Start) -> None:
    space.apply({"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "gardeners"}})

    def peers() -> set[int]:
        return {one["priority"] for one in space.get("kopfpeering", "gardeners").get("status", {}).values() if one}

    low = start("low", "--peering", "gardeners", "--priority", "1")
    until_true(lambda: peers() == {1}, "the first one shows")
    high = start("high", "--peering", "gardeners", "--priority", "100")
    until_true(lambda: peers() == {1, 100} and "Pausing" in low.said, "the first one makes way")
    space.apply(garden("home", "rose"))
    found = waited(space, high, lambda status: status.get("phase") == "Planted", "the garden is planted")
    assert found["status"]["gardener"] == "high"
    # when that one leaves the other goes on
    assert high.stop() == 0
    until_true(lambda: "Resuming" in low.said, "the first one takes over")
    space.kubectl("patch", "garden", "home", "--type=merge", "-p", '{"spec":{"plants":["kale"]}}')
    waited(space, low, lambda status: status.get("gardener") == "low", "the other one works")
    assert beds(space) == {"home-kale": "kale"}
    space.kubectl("delete", "garden", "home", "--timeout=120s")
