"""A server that asks another real one who may do what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web

from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.apiserver.auth.authzwebhook import WebhookSettings, spec_of
from sampan.apiserver.auth.base import Authorization
from sampan.apiserver.request import ADMIN, Attributes, User
from sampan.apiserver.server import Settings
from sampan.client.kubeconfig import Access
from sampan.testing.https import served
from sampan.testing.ports import free_port
from sampan.testing.server import LEAN, RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MAPS = "/api/v1/namespaces/default/configmaps"
JSON = {"Content-Type": "application/json"}
USERS = {"jane": User("jane", groups=("dev", "system:authenticated")), "admin": ADMIN}
ROLE = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "maps"}, "rules": [
    {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "update", "patch"]}]}
BINDING = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "maps"},
           "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "maps"}, "subjects": [{"kind": "Group", "name": "dev"}]}
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/"


def asking(hook: WebhookSettings, *chain: str) -> Settings:
    return replace(LEAN, users=USERS, authorization=Authorization((*(chain or ("Node", "RBAC")), hook)))


async def code(server: RunningServer, who: str, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    answer = await server.client_with(authorization=f"Bearer {who}", **headers).raw(
        method, path, body=codec.encode(body) if body is not None else b"", headers=JSON)
    value = codec.loads(answer.body)
    return answer.code, value.get("message", "")


def with_remote(test: Callable[[RunningServer, RunningServer], Awaitable[None]], **settings: Any) -> None:
    """Test with a server and the one that it asks, which lets `dev` read and change config maps."""
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), served(settings=LEAN) as (remote, access):
            for plural, obj in (("roles", ROLE), ("rolebindings", BINDING)):
                assert (await remote.client.raw("POST", ROLES + plural, body=codec.encode(obj), headers=JSON)).code == 201
            hook = WebhookSettings("remote", replace(access, server=access.server + REVIEWS), version="v1", **settings)
            async with running_server(settings=asking(hook)) as server:
                await test(server, remote)
    asyncio.run(whole())


async def asked(remote: RunningServer) -> float:
    text = (await remote.client.raw("GET", "/metrics")).body.decode()
    lines = [line for line in text.splitlines() if line.startswith("apiserver_request_total") and 'resource="subjectaccessreviews"' in line]
    return sum(float(line.split()[-1]) for line in lines)


def test_what_another_server_allows_is_allowed_here() -> None:
    async def test(server: RunningServer, remote: RunningServer) -> None:
        assert await code(server, "jane", "GET", MAPS) == (200, "")
        assert (await code(server, "jane", "GET", "/api/v1/namespaces/default/secrets"))[0] == 403
        # answers are kept, and administrators are not asked about
        before = await asked(remote)
        assert await code(server, "jane", "GET", MAPS) == (200, "")
        assert (await code(server, "jane", "GET", "/api/v1/namespaces/default/secrets"))[0] == 403
        assert (await code(server, "admin", "GET", MAPS))[0] == 200
        assert await asked(remote) == before
    with_remote(test)


def test_decisions_deep_in_a_request_are_asked_about_too() -> None:
    async def test(server: RunningServer, _: RunningServer) -> None:
        # a PUT that would create wants `create`, which the other server does not give
        leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a"
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "a"}}
        refused = await code(server, "jane", "PUT", leases, body)
        assert refused[0] == 403
        # impersonation
        assert 'User "jane" cannot impersonate' in (await code(server, "jane", "GET", MAPS, impersonate_user="x"))[1]
        assert (await code(server, "admin", "GET", MAPS, impersonate_user="jane", impersonate_group="dev"))[0] == 200
        # reviews
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": {
            "user": "jane", "groups": ["dev"], "resourceAttributes": {"verb": "patch", "resource": "configmaps", "namespace": "default"}}}
        answer = await server.client.raw("POST", REVIEWS, body=codec.encode(review), headers=JSON)
        assert codec.loads(answer.body)["status"]["allowed"] is True
        rules = await server.client.raw("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", headers=JSON, body=codec.encode({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": "default"}}))
        status = codec.loads(rules.body)["status"]
        assert (status["incomplete"], status["evaluationError"]) == (True, "webhook authorizer does not support user rule resolution")
    with_remote(test)


def test_a_policys_authorizer_asks_too() -> None:
    async def test(server: RunningServer, _: RunningServer) -> None:
        group = {"apiVersion": "admissionregistration.k8s.io/v1"}
        policy = {**group, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"}, "spec": {
            "matchConstraints": {"resourceRules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"], "resources": ["configmaps"]}]},
            "validations": [{"expression": "authorizer.group('').resource('secrets').namespace('default').check('get').allowed()", "message": "no"}]}}
        binding = {**group, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": {"policyName": "p", "validationActions": ["Deny"]}}
        for plural, obj in (("validatingadmissionpolicies", policy), ("validatingadmissionpolicybindings", binding)):
            path = f"/apis/admissionregistration.k8s.io/v1/{plural}"
            assert (await server.client.raw("POST", path, body=codec.encode(obj), headers=JSON)).code == 201
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}}
        assert (await server.client.raw("POST", MAPS, body=codec.encode(made), headers=JSON)).code == 201
        refused = await code(server, "jane", "PUT", f"{MAPS}/a", {**made, "data": {"x": "2"}})
        assert refused[0] == 422
        assert refused[1].endswith("denied request: no")
    with_remote(test)


def test_match_conditions_say_what_is_asked_about() -> None:
    async def test(server: RunningServer, remote: RunningServer) -> None:
        assert (await code(server, "jane", "GET", MAPS))[0] == 200
        before = await asked(remote)
        assert (await code(server, "jane", "GET", "/version"))[0] == 403
        assert await asked(remote) == before
    with_remote(test, conditions=("has(request.resourceAttributes)", "request.resourceAttributes.verb != 'delete'"))


@asynccontextmanager
async def saying(status: dict[str, Any]) -> AsyncIterator[tuple[WebhookSettings, list[Any]]]:
    """A webhook that always says the same."""
    heard: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        review = await request.json()
        heard.append(review)
        return web.json_response({**review, "status": status})

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield WebhookSettings("hook", Access(f"http://127.0.0.1:{runner.addresses[0][1]}/"), authorized_seconds=0, unauthorized_seconds=0), heard
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("status", "wanted"), [
    ({"allowed": False, "denied": True, "reason": "not today"}, (403, "not today")), ({"allowed": False, "reason": "who?"}, (200, "")),
    ({"allowed": True, "denied": True}, (500, "both allow and deny")),
])
def test_a_denial_ends_the_question_and_no_opinion_passes_it_on(status: dict[str, Any], wanted: tuple[int, str]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), saying(status) as (hook, heard):
            settings = replace(LEAN, users=USERS, authorization=Authorization((hook, "AlwaysAllow")))
            async with running_server(settings=settings) as server:
                for _ in range(2):
                    found = await code(server, "jane", "GET", f"{MAPS}?labelSelector=a=b&fieldSelector=metadata.name!%3Dx")
                    assert (found[0], wanted[1] in found[1]) == (wanted[0], True)
            assert len(heard) == 2  # a time to live of nothing
            assert heard[0]["spec"]["group"] == ["dev", "system:authenticated"]  # v1beta1's name for groups
            resource = heard[0]["spec"]["resourceAttributes"]
            assert resource["labelSelector"] == {"requirements": [{"key": "a", "operator": "In", "values": ["b"]}]}
            assert resource["fieldSelector"] == {"requirements": [{"key": "metadata.name", "operator": "NotIn", "values": ["x"]}]}
    asyncio.run(whole())


@pytest.mark.parametrize(("deny", "wanted"), [(True, 500), (False, 200)])
def test_a_webhook_that_is_not_there_denies_or_has_no_opinion(deny: bool, wanted: int) -> None:
    class Quick(SystemClock):
        async def sleep(self, seconds: float) -> None:
            await asyncio.sleep(0 if seconds < 10 else seconds)

    async def whole() -> None:
        hook = WebhookSettings("gone", Access(f"https://127.0.0.1:{free_port()}/"), deny_on_failure=deny)
        settings = replace(LEAN, users=USERS, authorization=Authorization((hook, "AlwaysAllow")))
        async with asyncio.timeout(PATIENCE_SECONDS), running_server(settings=settings, clock=Quick()) as server:
            found, message = await code(server, "jane", "GET", MAPS)
            assert found == wanted
            assert "secret" not in message
    asyncio.run(whole())


def test_what_is_empty_is_not_in_the_question() -> None:
    assert spec_of(Attributes(User("a"), "get", "/x")) == {"user": "a", "nonResourceAttributes": {"path": "/x", "verb": "get"}}
