"""Claims that pods miss, and claims that nobody holds any more, as transcripts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.resource.v1 import ResourceClaim, ResourceClaimTemplate
from sampan.control.devices import claim_names
from sampan.controllers.resourceclaim.decide import (
    FINALIZER,
    POD_CLAIM,
    Holders,
    Lookup,
    freed,
    from_template,
    missing,
    needs_nothing,
    needs_work,
    reservations,
    statuses,
    surplus,
)
from sampan.kinds.plan import Update
from sampan.testing.datadriven import Block, run, transcripts


def words(text: str) -> tuple[str, dict[str, str]]:
    name, *rest = text.split()
    return name, {key: value for key, _, value in (one.partition("=") for one in rest)}


def a_pod(text: str) -> Pod:
    """`web uid=u node=n claims=gpu:template=t,disk:claim=c status=gpu:NAME phase=Running leaving`."""
    name, given = words(text)
    claims: list[dict[str, str]] = []
    for one in filter(None, given.get("claims", "").split(",")):
        entry, _, source = one.partition(":")
        kind, _, value = source.partition("=")
        claims.append({"name": entry, {"template": "resourceClaimTemplateName", "claim": "resourceClaimName"}[kind]: value})
    told = [dict(zip(("name", "resourceClaimName"), one.split(":"), strict=False)) for one in filter(None, given.get("status", "").split(","))]
    meta: dict[str, Any] = {"name": name, "namespace": "ns", "uid": given.get("uid", f"{name}-uid")}
    if "leaving" in given:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    spec = {"nodeName": given.get("node", ""), "resourceClaims": claims}
    status: dict[str, Any] = {"phase": given.get("phase", "Pending"), "resourceClaimStatuses": told}
    if "extended" in given:
        status["extendedResourceClaimStatus"] = {"resourceClaimName": given["extended"], "requestMappings": []}
    return codec.convert(Pod, {"metadata": meta, "spec": spec, "status": status})


def a_claim(text: str) -> ResourceClaim:
    """`c owner=POD/UID entry=gpu allocated reserved=POD/UID,… protected leaving`."""
    name, given = words(text)
    meta: dict[str, Any] = {"name": name, "namespace": "ns", "uid": f"{name}-uid"}
    if "owner" in given:
        owner, _, uid = given["owner"].partition("/")
        meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "Pod", "name": owner, "uid": uid or f"{owner}-uid", "controller": True}]
    if "entry" in given:
        meta["annotations"] = {POD_CLAIM: given["entry"]}
    if "leaving" in given:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    meta["finalizers"] = [FINALIZER] if "protected" in given else []
    reserved = [dict(zip(("name", "uid"), one.split("/"), strict=True)) | {"resource": "pods"} for one in filter(None, given.get("reserved", "").split(","))]
    status: dict[str, Any] = {"reservedFor": reserved} | ({"allocation": {"devices": {}}} if "allocated" in given else {})
    return codec.convert(ResourceClaim, {"metadata": meta, "status": status})


class Play:
    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.claims: dict[str, ResourceClaim] = {}
        self.templates: dict[str, ResourceClaimTemplate] = {}

    def handle(self, block: Block) -> str:
        return getattr(self, block.name)(block)  # type: ignore[no-any-return]

    def given(self, block: Block) -> str:
        self.__init__()  # type: ignore[misc]
        for line in block.input.splitlines():
            kind, _, text = line.partition(" ")
            if kind == "pod":
                self.pods[text.split()[0]] = a_pod(text)
            elif kind == "claim":
                self.claims[text.split()[0]] = a_claim(text)
            else:
                self.templates[text] = codec.convert(ResourceClaimTemplate, {"metadata": {"name": text}, "spec": {"metadata": {"labels": {"from": text}}}})
        return "ok"

    def pod(self, block: Block) -> str:
        pod = self.pods[block.words[0]]
        owned = [one for one in self.claims.values() if any(ref.uid == pod.metadata.uid for ref in one.metadata.ownerReferences)]
        if needs_nothing(pod):
            return "over"
        lines = [f"work: {'yes' if needs_work(pod, self.claims.get) else 'no'}"]
        names: dict[str, str] = {}
        for entry in missing(pod, Lookup(self.claims.get, owned, self.templates.get)):
            if entry.found is not None:
                lines.append(f"tell {entry.wanted.name}={entry.found.metadata.name}")
                names[entry.wanted.name] = entry.found.metadata.name
            elif entry.template is None:
                lines.append(f"no template for {entry.wanted.name}")
            else:
                made = from_template(pod, entry)
                lines.append(f"create {made.metadata.generateName}* {made.metadata.labels} {made.metadata.annotations[POD_CLAIM]}")
                names[entry.wanted.name] = "new"
        if names:
            lines.append(f"statuses {' '.join(':'.join(one.values()) for one in statuses(pod, names))}")
        for write in reservations(pod, self.claims.get).writes:
            assert isinstance(write, Update)
            lines.append(f"reserve {write.object.metadata.name} for {','.join(one.name for one in write.object.status.reservedFor)}")
        return "\n".join(lines)

    def claim(self, block: Block) -> str:
        """`claim NAME gone=UID,…`: what is done when pods with these uids are gone."""
        claim, gone = self.claims[block.words[0]], block.get("gone").split(",")
        holders = Holders([one for one in claim.status.reservedFor if one.uid not in gone])
        lines = []
        write = freed(claim, holders)
        if write is not None:
            new = write.object
            lines.append(f"update{'/' + write.subresource if write.subresource else ''} reserved={','.join(one.name for one in new.status.reservedFor)} "
                         f"{'allocated' if new.status.allocation else 'free'} {'protected' if new.metadata.finalizers else 'unprotected'}")
        lines += [f"delete {one.name}" for one in surplus(claim, holders, self.pods.get, self.claims.get).writes]  # type: ignore[union-attr]
        return "\n".join(lines) or "nothing"


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)


def test_long_names_are_cut_in_proportion() -> None:
    pod = a_pod(f"{'p' * 60} claims={'c' * 40}:template=t")
    [entry] = missing(pod, Lookup({}.get, (), {"t": ResourceClaimTemplate()}.get))
    prefix = from_template(pod, entry).metadata.generateName
    assert len(prefix) <= 57
    assert prefix == "p" * 33 + "-" + "c" * 22


def test_the_claim_for_extended_resources_is_one_of_the_pods() -> None:
    assert claim_names(a_pod("web claims=a:claim=x,b:template=t extended=extra")) == ["x", "extra"]
