"""Validating webhooks, asked over HTTPS by a real API server."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.webhooks.webhookserver import ANY, MAPS, Webhook, asked, config_map, configure, entry, post
from sampan.testing.ports import free_port
from sampan.testing.server import RunningServer


def refused(reply: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    """What becomes of a ConfigMap when the webhook answers so."""

    async def check(server: RunningServer, hook: Webhook) -> tuple[int, dict[str, Any]]:
        await configure(server, entry(hook.url, **more))
        code, body, _ = await post(server, MAPS, config_map())
        return code, body

    return asked(check, lambda _: reply)  # type: ignore[no-any-return]


def test_a_webhook_is_sent_the_whole_request() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url))
        code, _, _ = await post(server, f"{MAPS}?fieldManager=me", config_map(data={"k": "v"}))
        assert code == 201
        [request] = hook.seen
        assert (request["kind"], request["resource"]) == (
            {"group": "", "version": "v1", "kind": "ConfigMap"}, {"group": "", "version": "v1", "resource": "configmaps"})
        assert (request["requestKind"], request["requestResource"]) == (request["kind"], request["resource"])
        assert (request["name"], request["namespace"], request["operation"], request["dryRun"]) == ("a", "default", "CREATE", False)
        assert request["userInfo"] == {"username": "kubernetes-admin", "groups": ["system:masters", "system:authenticated"]}
        assert request["object"]["data"] == {"k": "v"}
        assert (request["object"]["kind"], request["object"]["apiVersion"]) == ("ConfigMap", "v1")
        assert request["oldObject"] is None
        assert request["options"]["kind"] == "CreateOptions"
        assert request["options"]["fieldManager"] == "me"
        assert hook.queries == ["timeout=10s"]

    asked(check)


def test_updates_and_deletions_show_the_old_object() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url))
        await post(server, MAPS, config_map(data={"k": "1"}))
        await post(server, f"{MAPS}/a", config_map(data={"k": "2"}), "PUT")
        await server.client.raw("DELETE", f"{MAPS}/a")
        _, update, delete = hook.seen
        assert (update["operation"], update["oldObject"]["data"], update["object"]["data"]) == ("UPDATE", {"k": "1"}, {"k": "2"})
        assert (delete["operation"], delete["oldObject"]["data"], delete["object"]) == ("DELETE", {"k": "2"}, None)
        assert delete["options"]["kind"] == "DeleteOptions"
        assert len(hook.peers) == 1  # one connection for all

    asked(check)


def test_a_denial_keeps_the_webhooks_code_and_reason() -> None:
    code, status = refused({"allowed": False, "status": {"code": 422, "reason": "Invalid", "message": "no such colour"}})
    assert (code, status["reason"], status["message"]) == (
        422, "Invalid", 'admission webhook "hook.example.com" denied the request: no such colour')


@pytest.mark.parametrize(("status", "message"), [
    ({}, "without explanation"), ({"status": {"reason": "Forbidden", "code": 403}}, ": Forbidden"), ({"status": {"code": 200}}, "without explanation")])
def test_a_denial_without_a_message_says_what_there_is(status: dict[str, Any], message: str) -> None:
    code, answer = refused({"allowed": False} | status)
    assert code == max(status.get("status", {}).get("code", 400), 400)
    assert answer["message"].startswith('admission webhook "hook.example.com" denied the request')
    assert answer["message"].endswith(message)


def test_warnings_reach_the_client() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url))
        _, _, headers = await post(server, MAPS, config_map())
        assert '299 - "mind the gap"' in str(headers)

    asked(check, lambda _: {"allowed": True, "warnings": ["mind the gap"]})


FAILED = 'Internal error occurred: failed calling webhook "hook.example.com": '


@pytest.mark.parametrize(("reply", "why"), [
    (b"garbage", "failed to call webhook: couldn't get version/kind; json parse error: invalid character 'g' looking for beginning of value"),
    (b"{}", "received invalid webhook response: webhook response was absent"),
    (b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"x","allowed":true}}', 'expected response.uid='),
    (b'{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":1}}', "failed to call webhook: json: cannot unmarshal number"),
    ({"allowed": True, "patch": "W10="}, "received invalid webhook response: validating webhook may not return response.patch"),
    ((500, b"oops", {}), 'failed to call webhook: an error on the server ("oops") has prevented the request from succeeding'),
    ((404, b"", {}), "failed to call webhook: the server could not find the requested resource"),
    ((302, b"", {"Location": "https://127.0.0.1:1/"}), "failed to call webhook: the server responded with the status code 302"),
    ((200, b"x" * (9 << 20), {}), "failed to call webhook: the answer is larger than"),
])
def test_a_bad_answer_is_a_500_that_says_why(reply: Any, why: str) -> None:
    code, status = refused(reply)
    assert (code, status["reason"]) == (500, "InternalError")
    assert status["message"].startswith(FAILED)
    assert why in status["message"]
    assert refused(reply, failurePolicy="Ignore")[0] == 201


def test_a_webhook_that_is_down_fails_closed_or_open() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        port = free_port()
        await configure(server, entry(f"https://127.0.0.1:{port}/ask"))
        code, status, _ = await post(server, MAPS, config_map())
        assert (code, status["message"]) == (
            500, f'{FAILED}failed to call webhook: Post "https://127.0.0.1:{port}/ask?timeout=10s": dial tcp 127.0.0.1:{port}: connect: connection refused')
        await server.client.raw("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks")
        await configure(server, entry(f"https://127.0.0.1:{port}/ask", failurePolicy="Ignore"))
        assert (await post(server, MAPS, config_map()))[0] == 201

    asked(check)


@pytest.mark.slow
def test_a_slow_webhook_is_given_its_timeout() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        hook.hold = asyncio.Event()
        await configure(server, entry(hook.url, timeoutSeconds=1))
        code, status, _ = await post(server, MAPS, config_map())
        assert (code, status["message"]) == (
            500, f'{FAILED}failed to call webhook: Post "{hook.url}?timeout=1s": context deadline exceeded')

    asked(check)


def test_a_certificate_of_another_authority_is_refused() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        one = entry(hook.url)
        del one["clientConfig"]["caBundle"]
        await configure(server, one)
        code, status, _ = await post(server, MAPS, config_map())
        assert code == 500
        assert status["message"].endswith("tls: failed to verify certificate: x509: certificate signed by unknown authority")
        assert not hook.seen

    asked(check)


def test_a_certificate_for_another_name_is_refused() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url))
        code, status, _ = await post(server, MAPS, config_map())
        assert code == 500
        assert "tls: failed to verify certificate: x509: " in status["message"]
        assert not hook.seen

    asked(check, address="", dns="other.default.svc")


def service(port: int, address: str = "127.0.0.1") -> dict[str, Any]:
    # ExternalName is the one kind of service that leads to loopback
    return {"kind": "Service", "apiVersion": "v1", "metadata": {"name": "hook"},
            "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]}}


def test_a_service_is_resolved_and_must_prove_its_name() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        code, body, _ = await post(server, "/api/v1/namespaces/default/services", service(hook.port))
        assert code == 201, body
        one = entry(hook.url)
        del one["clientConfig"]["url"]
        one["clientConfig"]["service"] = {"namespace": "default", "name": "hook", "path": "/ask", "port": hook.port}
        await configure(server, one)
        code, body, _ = await post(server, MAPS, config_map())
        assert (code, len(hook.seen)) == (201, 1), body
        assert hook.hosts == [f"hook.default.svc:{hook.port}"]

    asked(check, address="")


def test_a_missing_service_is_told() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        one = entry(hook.url)
        one["clientConfig"] = {"service": {"namespace": "default", "name": "gone", "path": "/ask"}}
        await configure(server, one)
        code, body, _ = await post(server, MAPS, config_map())
        assert (code, body["message"]) == (
            500, f'{FAILED}failed to call webhook: Post "https://gone.default.svc:443/ask?timeout=10s": service "gone" not found')

    asked(check)


def called(one: dict[str, Any], path: str = MAPS, body: dict[str, Any] | None = None) -> bool:
    """Whether a webhook is asked about a new ConfigMap (or something else)."""

    async def check(server: RunningServer, hook: Webhook) -> bool:
        await configure(server, entry(hook.url) | one)
        code, answer, _ = await post(server, path, body or config_map(metadata={"labels": {"tier": "web"}}))
        assert code == 201, answer
        return bool(hook.seen)

    return asked(check)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("rule", "asked_about"), [
    ({"operations": ["UPDATE"]}, False), ({"resources": ["secrets"]}, False), ({"resources": ["*"]}, True), ({"resources": ["*/*"]}, True),
    ({"resources": ["*/status"]}, False), ({"apiGroups": ["apps"]}, False), ({"apiVersions": ["v2"]}, False),
    ({"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["configmaps/*"]}, True),
    ({"scope": "Cluster"}, False), ({"scope": "Namespaced"}, True),
])
def test_rules_say_what_is_asked_about(rule: dict[str, Any], asked_about: bool) -> None:
    assert called({"rules": [ANY | rule]}) is asked_about


@pytest.mark.parametrize(("selector", "asked_about"), [
    ({"objectSelector": {"matchLabels": {"tier": "web"}}}, True), ({"objectSelector": {"matchLabels": {"tier": "db"}}}, False),
    ({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}}, True),
    ({"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["default"]}]}}, False),
    ({"matchConditions": [{"name": "a", "expression": "object.metadata.labels.tier == 'web'"}]}, True),
    ({"matchConditions": [{"name": "a", "expression": "request.userInfo.username != 'kubernetes-admin'"}]}, False),
    ({"matchConditions": [{"name": "a", "expression": "authorizer.group('').resource('secrets').namespace('x').check('get').allowed()"}]}, True),
    ({"matchConditions": [{"name": "a", "expression": "!authorizer.requestResource.check('create').allowed()"}]}, False),
])
def test_selectors_and_conditions_say_which_objects_are_asked_about(selector: dict[str, Any], asked_about: bool) -> None:
    assert called(selector) is asked_about


def test_a_condition_that_can_not_be_judged_refuses() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url, matchConditions=[{"name": "a", "expression": "object.nothing == 1"}]))
        code, status, _ = await post(server, MAPS, config_map())
        assert (code, status["message"]) == (
            403, "configmaps \"a\" is forbidden: expression 'object.nothing == 1' resulted in error: no such key: nothing")

    asked(check)


def test_an_equivalent_version_is_converted() -> None:
    hpa = {"kind": "HorizontalPodAutoscaler", "apiVersion": "autoscaling/v2", "metadata": {"name": "h"},
           "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"},
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 7}}}]}}
    rule = {"operations": ["*"], "apiGroups": ["autoscaling"], "apiVersions": ["v1"], "resources": ["horizontalpodautoscalers"]}

    async def check(server: RunningServer, hook: Webhook) -> None:
        path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
        await configure(server, entry(hook.url, rules=[rule]))
        code, body, _ = await post(server, path, hpa)
        assert code == 201, body
        [request] = hook.seen
        assert (request["kind"]["version"], request["requestKind"]["version"]) == ("v1", "v2")
        assert request["object"]["spec"]["targetCPUUtilizationPercentage"] == 7
        await configure(server, entry(hook.url, rules=[rule], matchPolicy="Exact"), name="exact")
        await server.client.raw("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks")
        await post(server, path, hpa | {"metadata": {"name": "i"}})
        assert len(hook.seen) == 1

    asked(check)


def test_webhook_configurations_are_never_asked_about() -> None:
    rule = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"]}

    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url, rules=[rule]))
        await configure(server, entry(hook.url, rules=[rule]), name="second")
        answer = await server.client.raw("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/hooks")
        assert (answer.code, hook.seen) == (200, [])

    asked(check, lambda _: {"allowed": False})


def test_all_are_asked_at_the_same_time_and_the_first_refusal_is_told() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        hook.hold = asyncio.Event()
        hook.reply = lambda _: {"allowed": False}
        await configure(server, entry(hook.url, "b.example.com"), entry(hook.url, "a.example.com"))
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(post(server, MAPS, config_map()))
            await hook.arrived.acquire()
            await hook.arrived.acquire()  # both wait, neither has been answered
            hook.hold.set()
        assert waiting.result()[1]["message"] == 'admission webhook "b.example.com" denied the request without explanation'

    asked(check)


def test_a_dry_run_is_told_to_webhooks_without_side_effects() -> None:
    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url))
        assert (await post(server, f"{MAPS}?dryRun=All", config_map()))[0] == 201
        assert hook.seen[0]["dryRun"] is True

    asked(check)


def test_old_webhooks_are_asked_in_v1beta1() -> None:
    assert called({"admissionReviewVersions": ["v1beta1"]})


def test_scales_and_bindings_are_shown_as_such() -> None:
    rule = {"operations": ["*"], "apiGroups": ["", "apps"], "apiVersions": ["*"], "resources": ["deployments/scale", "pods/binding"]}
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}

    async def check(server: RunningServer, hook: Webhook) -> None:
        await configure(server, entry(hook.url, rules=[rule]))
        apps, pods = "/apis/apps/v1/namespaces/default/deployments", "/api/v1/namespaces/default/pods"
        await post(server, apps, {"metadata": {"name": "d"}, "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": template}})
        await post(server, pods, {"metadata": {"name": "p"}, "spec": template["spec"]})
        assert not hook.seen
        code, body, _ = await post(server, f"{apps}/d/scale", {"metadata": {"name": "d", "namespace": "default"}, "spec": {"replicas": 4}}, "PUT")
        assert code == 200, body
        code, body, _ = await post(server, f"{pods}/p/binding", {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}})
        assert code == 201, body
        scale, binding = hook.seen
        assert (scale["kind"]["kind"], scale["subResource"], scale["object"]["spec"]) == ("Scale", "scale", {"replicas": 4})
        assert scale["oldObject"]["spec"] == {"replicas": 1}
        assert (binding["kind"]["kind"], binding["object"]["target"]["name"]) == ("Binding", "n")

    asked(check)
