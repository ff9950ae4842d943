"""When pods leave tainted devices, as transcripts."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resource.v1 import DeviceTaint, ResourceClaim, ResourceSlice
from sampan.controllers.devicetainteviction.decide import Device, evict, pod_leaves, taints_of
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def a_slice(text: str) -> ResourceSlice:
    """`POOL generation=1 devices=d0:key=value:effect[@TIME],d1` (TIME: 11:59:00)."""
    pool, *rest = text.split()
    given = dict(one.split("=", 1) for one in rest)
    devices: dict[str, Any] = {}
    for one in given["devices"].split(","):
        name, *taint = one.split(":", 2)
        entry = devices.setdefault(name, {"name": name, "taints": []})
        if taint:
            key, _, value = taint[0].partition("=")
            effect, _, since = taint[1].partition("@")
            entry["taints"].append({"key": key, "value": value, "effect": effect, "timeAdded": f"2026-01-01T{since or '11:59:00'}Z"})
    spec = {"driver": "d", "pool": {"name": pool, "generation": int(given.get("generation", "1")), "resourceSliceCount": 1}, "devices": list(devices.values())}
    return codec.convert(ResourceSlice, {"metadata": {"name": text}, "spec": spec})


def a_claim(text: str) -> ResourceClaim:
    """`c devices=POOL/d0,… tolerates=key[=value][@SECONDS],… reserved=UID owner=UID`."""
    name, *rest = text.split()
    given = dict(one.split("=", 1) for one in rest)
    tolerations: list[dict[str, Any]] = []
    for one in filter(None, given.get("tolerates", "").split(",")):
        rule, _, seconds = one.partition("@")
        key, equals, value = rule.partition("=")
        effect = "NoSchedule" if key.startswith("!") else "NoExecute"
        tolerations.append({"key": key.strip("!*"), "operator": "Equal" if equals else "Exists", "value": value, "effect": effect,
                            **({"tolerationSeconds": int(seconds)} if seconds else {})})
    results = [{"request": "r", "driver": "d", "pool": pool, "device": device, "tolerations": tolerations}
               for pool, device in (one.split("/") for one in filter(None, given.get("devices", "").split(",")))]
    status: dict[str, Any] = {"reservedFor": [{"resource": "pods", "name": "web", "uid": given.get("reserved", "web-uid")}]}
    if results:
        status["allocation"] = {"devices": {"results": results}}
    owner = given.get("owner", "web-uid")
    refs = [{"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": owner, "controller": True}]
    return codec.convert(ResourceClaim, {"metadata": {"name": name, "namespace": "ns", "ownerReferences": refs}, "status": status})


def play(block: Block) -> str:
    """`pod [waiting] [leaving] claims=c,…` with slices and claims as input."""
    slices: dict[tuple[str, str], list[ResourceSlice]] = {}
    claims = {}
    for line in block.input.splitlines():
        kind, _, text = line.partition(" ")
        if kind == "slice":
            one = a_slice(text)
            slices.setdefault((one.spec.driver, one.spec.pool.name), []).append(one)
        else:
            claims[text.split()[0]] = a_claim(text)
    entries = [{"name": one, "resourceClaimTemplateName": "t"} for one in block.get("claims").split(",")]
    told = [{"name": one, "resourceClaimName": one} for one in claims]
    meta: dict[str, Any] = {"name": "web", "namespace": "ns", "uid": "web-uid"}
    if block.flag("leaving"):
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    pod = codec.convert(Pod, {"metadata": meta, "spec": {"nodeName": "" if block.flag("waiting") else "n", "resourceClaims": entries},
                              "status": {"resourceClaimStatuses": told}})

    def taints(device: Device) -> list[DeviceTaint]:
        return taints_of(slices.get(device[:2], ())).get(device[2], [])

    due = pod_leaves(pod, claims.get, taints)
    return "stays" if due is None else f"leaves in {(due - NOW).total_seconds():g} s"


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)


def test_the_condition_says_why_and_of_no_generation() -> None:
    pod = codec.convert(Pod, {"metadata": {"name": "web", "namespace": "ns", "uid": "u", "generation": 3}})
    [condition] = evict(pod, NOW).writes[0].object.status.conditions  # type: ignore[union-attr]
    assert (condition.type, condition.reason, condition.observedGeneration) == ("DisruptionTarget", "DeletionByDeviceTaintManager", 0)
