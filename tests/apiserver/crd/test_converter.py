"""Calls to conversion webhooks that fail, and definitions whose webhook can't be believed."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from api_asking import Asker
from apiserver.aggregation.extensions import authority
from apiserver.crd.conversions import Webhook, convert, with_webhook
from apiserver.crd.definitions import CRDS, condition, define, gear, gears, until
from sampan.api import codec
from sampan.api.admissionregistration.v1 import WebhookClientConfig
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.errors import OtherStatus
from sampan.apiserver.crd.converter import MOST_OBJECTS, WebhookConverter
from sampan.lib.clock import Identity

FAILED = "conversion webhook for example.com/v1, Kind=Gear"
CRD = f"{CRDS}/gears.example.com"


@pytest.mark.parametrize(("reply", "why"), [
    (500, 'failed: an error on the server ("broken") has prevented the request from succeeding'),
    (b"{", "failed: the answer is no JSON"),
    ({"uid": "other", "result": {"status": "Success"}}, "failed: expected response.uid="),
    ("none", "returned 0 objects, expected 1"),
    ("renamed", "returned invalid converted object at index 0: must have the same name: a != b"),
])
def test_an_answer_that_is_no_good_is_a_500(reply: Any, why: str) -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        await define(asker, hook.definition())
        await asker.must("POST", gears("v1"), gear("a", size=1))

        def answer(review: dict[str, Any]) -> Any:
            if isinstance(reply, str):
                made = [] if reply == "none" else [convert(one | {"metadata": one["metadata"] | {"name": "b"}}, "example.com/v2")
                                                   for one in review["request"]["objects"]]
                return {"uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": made}
            return reply

        hook.reply = answer
        code, status = await asker.ask("GET", gears("v2", "a"))
        assert code == 500
        assert status["message"].startswith(f"{FAILED} {why}")

    with_webhook(check)


def test_a_webhook_whose_authority_is_another_is_not_believed() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        bundle = base64.b64encode(authority("somebody-else").certificate).decode()
        crd = hook.definition()
        crd["spec"]["conversion"] = hook.conversion(caBundle=bundle)
        await define(asker, crd)
        await asker.must("POST", gears("v1"), gear("a", size=1))
        code, status = await asker.ask("GET", gears("v2", "a"))
        assert (code, status["message"]) == (500, (
            f'{FAILED} failed: Post "https://localhost:{hook.port}/convert?timeout=30s": '
            "tls: failed to verify certificate: x509: certificate signed by unknown authority"))
        # a bundle that is right from now on is used from now on
        code, _ = await asker.merge(CRD, {"spec": {"conversion": hook.conversion()}})
        assert code == 200
        await until(asker, gears("v2", "a"), lambda code, _: code == 200)
        # and a good one can't be replaced by none
        code, status = await asker.merge(CRD, {"spec": {"conversion": hook.conversion(caBundle="eA==")}})
        assert (code, status["details"]["causes"][0]["field"]) == (422, "spec.conversion.webhookClientConfig.caBundle")
        assert "unable to load root certificates" in status["message"]

    with_webhook(check)


def test_a_definition_with_a_bundle_that_is_none_is_not_established() -> None:
    async def check(asker: Asker, hook: Webhook) -> None:
        crd = hook.definition()
        crd["spec"]["conversion"] = hook.conversion(caBundle="Cg==")
        await asker.must("POST", CRDS, crd)
        said = condition(await until(asker, CRD, lambda _, value: bool(condition(value, "Established"))), "Established")
        assert (said["status"], said["reason"], said["message"]) == ("False", "InvalidCABundle", "The conversion webhook CABundle is invalid")
        assert (await asker.ask("GET", gears("v1")))[0] == 404
        # with one that is it is
        await asker.merge(CRD, {"spec": {"conversion": hook.conversion()}})
        await until(asker, CRD, lambda _, value: condition(value, "Established")["status"] == "True")
        await until(asker, gears("v1"), lambda code, _: code == 200)

    with_webhook(check)


class Recording:
    """A client that answers by itself and keeps how many objects it was given."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    async def post(self, config: WebhookClientConfig, body: bytes, timeout_seconds: int) -> bytes:
        assert (config.service and (config.service.name, config.service.port), timeout_seconds) == (("hook", 443), 30)
        request = codec.loads(body)["request"]
        self.counts.append(len(request["objects"]))
        return codec.encode({"kind": "ConversionReview", "apiVersion": "apiextensions.k8s.io/v1", "response": {
            "uid": request["uid"], "result": {"status": "Success"},
            "convertedObjects": [one | {"apiVersion": request["desiredAPIVersion"]} for one in request["objects"]]}})


def test_those_that_have_the_version_already_are_not_sent_and_many_go_in_parts() -> None:
    crd = codec.convert(CustomResourceDefinition, {"metadata": {"name": "gears.example.com"}, "spec": {"conversion": {
        "strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"service": {"name": "hook", "namespace": "d", "port": 443}}}}}})
    client = Recording()
    converter = WebhookConverter(crd, client, Identity())
    objects = [gear(f"g{number}", api="v2" if number % 10 == 0 else "v1") for number in range(MOST_OBJECTS + 100)]
    found = asyncio.run(converter.convert(objects, "example.com/v2"))
    assert [one["metadata"]["name"] for one in found] == [one["metadata"]["name"] for one in objects]
    assert {one["apiVersion"] for one in found} == {"example.com/v2"}
    assert found[0] is objects[0]
    assert client.counts == [MOST_OBJECTS, 40]
    crd.spec.conversion.webhook.conversionReviewVersions = ["v9"]  # type: ignore[union-attr]
    with pytest.raises(OtherStatus, match="no supported conversion review versions"):
        asyncio.run(WebhookConverter(crd, client, Identity()).convert(objects, "example.com/v2"))
