"""Audit logs of a real API server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from apiserver.webhooks.webhookserver import configure, entry, patch, webhook
from sampan.api import codec
from sampan.api.resources import CONFIG_MAPS
from sampan.apiserver.audit.policy import load
from sampan.apiserver.request import ADMIN
from sampan.lib.errors import ConfigError
from sampan.testing.server import LEAN, RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json", "User-Agent": "test/1"}
BODY = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"k":"v"}}'


def policy(*rules: str, more: str = "") -> bytes:
    return ("apiVersion: audit.k8s.io/v1\nkind: Policy\n" + more + "rules:\n" + "".join(f"- {rule}\n" for rule in rules)).encode()


def told(path: Path, text: bytes, *requests: tuple[str, str, bytes]) -> list[dict[str, Any]]:
    """The events of some requests."""

    async def run() -> None:
        settings = replace(LEAN, audit_policy=load(text, "policy.yaml"), audit_log=str(path))
        async with running_server(settings=settings) as server, asyncio.timeout(PATIENCE_SECONDS):
            for method, target, body in requests:
                await server.client.raw(method, target, body=body, headers=JSON)

    asyncio.run(run())
    return [codec.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def test_metadata_tells_who_did_what_and_what_came_of_it(tmp_path: Path) -> None:
    received, done = told(tmp_path / "audit.log", policy("level: Metadata"), ("POST", f"{MAPS}?fieldManager=me", BODY))
    assert (received["stage"], done["stage"], received["auditID"]) == ("RequestReceived", "ResponseComplete", done["auditID"])
    assert (done["kind"], done["apiVersion"], done["level"], done["verb"]) == ("Event", "audit.k8s.io/v1", "Metadata", "create")
    assert done["requestURI"] == f"{MAPS}?fieldManager=me"
    assert done["user"] == {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
    assert done["objectRef"] == {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert done["responseStatus"] == {"metadata": {}, "code": 201}
    assert "requestObject" not in done
    assert (tmp_path / "audit.log").stat().st_mode & 0o777 == 0o600


def test_higher_levels_tell_objects(tmp_path: Path) -> None:
    text = policy("level: Request\n  verbs: [create]", "level: RequestResponse", more="omitStages: [RequestReceived]\nomitManagedFields: true\n")
    made, got = told(tmp_path / "audit.log", text, ("POST", MAPS, BODY), ("GET", f"{MAPS}/a", b""))
    assert (made["requestObject"]["data"], "responseObject" in made) == ({"k": "v"}, False)
    assert got["responseObject"]["data"] == {"k": "v"}
    assert "managedFields" not in got["responseObject"]["metadata"]


def test_a_refusal_is_told_with_its_status(tmp_path: Path) -> None:
    [event] = told(tmp_path / "audit.log", policy("level: Metadata\n  omitStages: [RequestReceived]"), ("GET", f"{MAPS}/gone", b""))
    assert event["responseStatus"] == {
        "metadata": {}, "status": "Failure", "reason": "NotFound", "message": 'configmaps "gone" not found', "code": 404,
        "details": {"name": "gone", "kind": "configmaps"}}


@pytest.mark.parametrize(("rule", "matches"), [
    ("users: [kubernetes-admin]", True), ("users: [somebody]", False), ("userGroups: ['system:masters']", True), ("verbs: [list]", False),
    ("namespaces: [default]", True), ("namespaces: ['']", False), ("resources: [{group: '', resources: [configmaps]}]", True),
    ("resources: [{group: '', resources: ['configmaps/*']}]", True), ("resources: [{group: '', resources: ['*']}]", True),
    ("resources: [{group: apps}]", False), ("resources: [{group: '', resources: [configmaps], resourceNames: [b]}]", False),
    ("nonResourceURLs: ['*']", False),
])
def test_the_first_rule_that_matches_counts(tmp_path: Path, rule: str, matches: bool) -> None:
    text = policy(f"level: Metadata\n  {rule}\n  omitStages: [RequestReceived]", "level: None")
    assert len(told(tmp_path / "audit.log", text, ("GET", f"{MAPS}/a", b""))) == matches


def test_a_watch_is_told_when_it_starts_and_when_it_ends(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"

    async def run() -> None:
        settings = replace(LEAN, audit_policy=load(policy("level: Metadata\n  verbs: [watch]"), "p"), audit_log=str(path))
        async with running_server(settings=settings) as server, asyncio.timeout(PATIENCE_SECONDS):
            await server.client.raw("POST", MAPS, body=BODY, headers=JSON)
            watch = server.client.watch(CONFIG_MAPS, "default")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await anext(aiter(watch))
            await watch.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())
    assert [codec.loads(line)["stage"] for line in path.read_bytes().splitlines()] == ["RequestReceived", "ResponseStarted", "ResponseComplete"]


def test_an_impersonator_is_told_beside_whom_he_acts_as(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"

    async def run() -> None:
        settings = replace(LEAN, audit_policy=load(policy("level: Metadata\n  omitStages: [RequestReceived]"), "p"), audit_log=str(path),
                           users={"secret": ADMIN})
        async with running_server(settings=settings) as server:
            await ask(server)

    async def ask(server: RunningServer) -> None:
        await server.client_with(authorization="Bearer secret", impersonate_user="jane").raw("GET", f"{MAPS}/a")

    asyncio.run(run())
    [event] = [codec.loads(line) for line in path.read_bytes().splitlines()]
    assert (event["user"]["username"], event["impersonatedUser"]["username"]) == ("kubernetes-admin", "jane")
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert b"secret" not in path.read_bytes()


@pytest.mark.parametrize("level", ["Metadata", "Request"])
def test_what_webhooks_did_is_told(tmp_path: Path, level: str) -> None:
    path = tmp_path / "audit.log"

    async def run() -> None:
        settings = replace(LEAN, audit_policy=load(policy(f"level: {level}\n  omitStages: [RequestReceived]\n  resources: [{{group: ''}}]"), "p"),
                           audit_log=str(path))
        change = patch({"op": "add", "path": "/data", "value": {"x": "y"}}) | {"auditAnnotations": {"why": "because"}}
        async with webhook(lambda _: change) as hook, running_server(settings=settings) as server, asyncio.timeout(PATIENCE_SECONDS):
            await configure(server, entry(hook.url), mutating=True)
            await server.client.raw("POST", MAPS, body=BODY, headers=JSON)

    asyncio.run(run())
    [event] = [found for line in path.read_bytes().splitlines() if (found := codec.loads(line))["verb"] == "create" and "configmaps" in found["requestURI"]]
    notes = event["annotations"]
    assert notes["hook.example.com/why"] == "because"
    assert codec.loads(notes["mutation.webhook.admission.k8s.io/round_0_index_0"]) == {
        "configuration": "hooks", "webhook": "hook.example.com", "mutated": True}
    assert ("patch.webhook.admission.k8s.io/round_0_index_0" in notes) is (level == "Request")


def test_every_answer_names_its_event_once(tmp_path: Path) -> None:
    async def run() -> list[dict[str, str]]:
        settings = replace(LEAN, audit_policy=load(policy("level: Metadata"), "p"), audit_log=str(tmp_path / "audit.log"))
        async with running_server(settings=settings) as server:
            return [dict((await server.client.raw("GET", "/apis", headers={"Audit-ID": name})).headers) for name in ("one", "two")]

    first, second = asyncio.run(run())
    assert "one" in str(first)
    assert "two" in str(second)
    assert "one" not in str(second)


@pytest.mark.parametrize(("text", "why"), [
    (b"kind: Policy\napiVersion: audit.k8s.io/v1", "loaded illegal policy with 0 rules"), (b"a: [", "can't be read"),
    (policy("level: Loud"), 'rules[0].level: Unsupported value: "Loud": supported values: "None", "Metadata", "Request", "RequestResponse"'),
    (policy("users: [a]"), "rules[0].level: Required value"),
    (policy("level: None\n  omitStages: [Soon]"),
     'rules[0].omitStages[0]: Invalid value: "Soon": allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic'),
    (policy("level: None\n  nonResourceURLs: [x]"), "rules[0].nonResourceURLs[0]: Invalid value: \"x\": non-resource URL rules must begin with a '/' character"),
    (policy("level: None\n  nonResourceURLs: [/a*b]"), "non-resource URL wildcards '*' must be the final character of the rule"),
    (policy("level: None\n  nonResourceURLs: [/a]\n  namespaces: [b]"), "rules cannot apply to both regular resources and non-resource URLs"),
    (policy("level: None\n  resources: [{group: apps/v1}]"), 'rules[0].resources.group: Invalid value: "apps/v1": a lowercase RFC 1123 subdomain'),
    (policy("level: None\n  resources: [{resourceNames: [a]}]"), "using resourceNames requires at least one resource"),
    (b"kind: Policy\napiVersion: v1\nrules: []", "is no Policy"),
])
def test_a_policy_that_can_not_be_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, "policy.yaml")
    assert why in caught.value.message


def test_a_stranger_is_told_by_what_he_tried(tmp_path: Path) -> None:
    path = tmp_path / "audit.log"

    async def run() -> None:
        settings = replace(LEAN, audit_policy=load(policy("level: Metadata"), "p"), audit_log=str(path))
        async with running_server(settings=settings) as server:
            assert (await server.client_with(authorization="Bearer wrong").raw("GET", "/api")).code == 401

    asyncio.run(run())
    [event] = [codec.loads(line) for line in path.read_bytes().splitlines()]
    assert (event["stage"], event["user"]) == ("ResponseStarted", {})
    assert (event["responseStatus"]["code"], event["responseStatus"]["message"]) == (401, "Authentication failed, attempted: bearer")
    assert b"wrong" not in path.read_bytes()
