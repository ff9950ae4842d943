"""Admission that speaks of another version than the request, where a webhook converts."""

from __future__ import annotations

import asyncio
from typing import Any

from api_asking import Asker
from apiserver.aggregation.extensions import files
from apiserver.crd.conversions import webhook as conversion_webhook
from apiserver.crd.definitions import define, gear, gears
from apiserver.webhooks.webhookserver import configure, entry, patch, webhook
from sampan.testing.server import running_server
from sampan.testing.waiting import PATIENCE_SECONDS

RULE = {"operations": ["*"], "apiGroups": ["example.com"], "apiVersions": ["v1"], "resources": ["gears"]}


def test_webhooks_that_know_one_version_are_asked_about_every_version() -> None:
    async def run() -> None:
        def reply(request: dict[str, Any]) -> dict[str, Any]:
            return patch({"op": "add", "path": "/size", "value": 40})

        async with (asyncio.timeout(PATIENCE_SECONDS), files() as there, conversion_webhook(there) as conversion, webhook(reply) as hook,
                    running_server() as server):
            asker = Asker(server)
            await define(asker, conversion.definition())
            # given a mutating webhook that knows v1
            await configure(server, entry(hook.url, rules=[RULE]), mutating=True)
            # when an object is made in v2
            made = await asker.must("POST", gears("v2"), gear("a", api="v2", spec={"size": 3, "color": "red"}))
            # then it was shown in v1, asked once, and what it changed is in v2
            assert [(one["object"]["apiVersion"], one["object"]["size"], one["requestKind"]["version"]) for one in hook.seen] == [
                ("example.com/v1", 3, "v2")]
            assert made["spec"] == {"size": 40, "color": "red"}
            # and an old object is shown in its version as well
            await asker.merge(gears("v2", "a"), {"spec": {"color": "blue"}})
            assert (hook.seen[-1]["oldObject"]["apiVersion"], hook.seen[-1]["oldObject"]["size"]) == ("example.com/v1", 40)

    asyncio.run(run())


def test_policies_that_know_one_version_judge_every_version() -> None:
    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, conversion_webhook(there) as conversion, running_server() as server:
            asker = Asker(server)
            await define(asker, conversion.definition())
            group = "/apis/admissionregistration.k8s.io/v1"
            await asker.must("POST", f"{group}/validatingadmissionpolicies", {
                "kind": "ValidatingAdmissionPolicy", "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "small"},
                "spec": {"matchConstraints": {"resourceRules": [RULE]}, "validations": [{"expression": "object.size < 10", "message": "too big"}]}})
            await asker.must("POST", f"{group}/validatingadmissionpolicybindings", {
                "kind": "ValidatingAdmissionPolicyBinding", "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "small"},
                "spec": {"policyName": "small", "validationActions": ["Deny"]}})
            code, status = await asker.ask("POST", gears("v2"), gear("a", api="v2", spec={"size": 30}))
            assert code == 422
            assert "too big" in status["message"]
            assert (await asker.ask("POST", gears("v2"), gear("a", api="v2", spec={"size": 3})))[0] == 201

    asyncio.run(run())
