"""Certificate signing requests: approved for kubelets, signed for built-in signers, cleaned up."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from controllers.harness import World, run
from sampan.api import codec
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS
from sampan.controllers.certificates.controller import ApprovingController, CleanerController, SigningController
from sampan.lib import pki

NOW = datetime.now(UTC)  # noqa: TID251 - certificates are judged by real time
CA = pki.new_ca("test", now=NOW)
CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET = "kubernetes.io/kube-apiserver-client-kubelet"
USAGES = ["client auth", "digital signature"]


def build(w: World) -> list[Any]:
    return [ApprovingController(w.context), SigningController(w.context, CA, timedelta(days=1)), CleanerController(w.context)]


async def ask(w: World, names: pki.Names, signer: str = CLIENT, usages: list[str] | None = None) -> None:
    request = pki.new_request(names, key=CA.key)
    await w.make(CERTIFICATE_SIGNING_REQUESTS, {"metadata": {"name": "csr"}, "spec": {
        "request": base64.b64encode(request).decode(), "signerName": signer, "usages": usages or USAGES}})
    await w.settle()


async def decide(w: World, kind: str) -> None:
    await w.patch(CERTIFICATE_SIGNING_REQUESTS, "csr", {"status": {"conditions": [
        {"type": kind, "status": "True", "reason": "Test", "message": "", "lastUpdateTime": w.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")}]}},
        subresource="approval")
    await w.settle()


async def found(w: World) -> Any:
    return await w.get(CERTIFICATE_SIGNING_REQUESTS, "csr")


def kinds(csr: Any) -> list[tuple[str, str]]:
    return [(one.type, one.reason) for one in csr.status.conditions]


def test_a_kubelets_request_is_approved_and_signed() -> None:
    async def scenario(w: World) -> None:
        await ask(w, pki.Names("system:node:a", ("system:nodes",)), KUBELET)
        csr = await found(w)
        assert kinds(csr) == [("Approved", "AutoApproved")]
        assert pki.signed_by(csr.status.certificate, CA.certificate)

    run(build, scenario)


def test_another_request_waits_for_somebody_to_approve_it() -> None:
    async def scenario(w: World) -> None:
        await ask(w, pki.Names("alice", ("devs",)))
        assert not (await found(w)).status.certificate
        await decide(w, "Approved")
        assert pki.signed_by((await found(w)).status.certificate, CA.certificate)

    run(build, scenario)


def test_a_denied_request_is_never_signed() -> None:
    async def scenario(w: World) -> None:
        await ask(w, pki.Names("alice", ("devs",)))
        await decide(w, "Denied")
        assert not (await found(w)).status.certificate

    run(build, scenario)


def test_a_signer_says_why_it_does_not_sign() -> None:
    async def scenario(w: World) -> None:
        await ask(w, pki.Names("alice", ("devs",)), usages=["server auth"])
        await decide(w, "Approved")
        csr = await found(w)
        assert kinds(csr)[-1] == ("Failed", "SignerValidationFailure")
        assert not csr.status.certificate

    run(build, scenario)


def test_another_signers_requests_are_left_alone() -> None:
    async def scenario(w: World) -> None:
        await ask(w, pki.Names("alice"), "example.com/other")
        await decide(w, "Approved")
        assert kinds(await found(w)) == [("Approved", "Test")]

    run(build, scenario)


def test_a_request_that_is_decided_goes_after_an_hour() -> None:
    async def scenario(w: World) -> None:
        await ask(w, pki.Names("alice", ("devs",)))
        await decide(w, "Denied")
        await w.clock.advance(3590)
        await w.settle()
        assert await found(w) is not None
        await w.clock.advance(20)
        await w.settle()
        assert await found(w) is None

    run(build, scenario)


def test_an_approved_request_is_signed_a_wrong_one_fails_and_old_ones_go() -> None:
    authority: list[pki.Pair] = []

    def build(world: World) -> list[Any]:
        authority.append(pki.new_ca("test", now=world.clock.now()))
        return [ApprovingController(world.context), SigningController(world.context, authority[0], timedelta(days=365)),
                CleanerController(world.context)]

    async def scenario(world: World) -> None:
        key = pki.new_signing_key()
        for name, usages in (("good", ["client auth"]), ("bad", ["server auth"])):
            request = pki.new_request(pki.Names("somebody"), key=key)
            await world.make(CERTIFICATE_SIGNING_REQUESTS, codec.loads(codec.encode({"metadata": {"name": name}, "spec": {
                "request": request, "signerName": pki.KUBE_APISERVER_CLIENT, "usages": usages}})))
            await world.settle()
            assert not (await world.get(CERTIFICATE_SIGNING_REQUESTS, name)).status.certificate
            now = world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
            await world.patch(CERTIFICATE_SIGNING_REQUESTS, name, {"status": {"conditions": [
                {"type": "Approved", "status": "True", "reason": "x", "lastUpdateTime": now}]}}, subresource="approval")
        await world.settle()
        good, bad = [await world.get(CERTIFICATE_SIGNING_REQUESTS, name) for name in ("good", "bad")]
        assert pki.facts_of(good.status.certificate).names.common_name == "somebody"
        assert pki.signed_by(good.status.certificate, authority[0].certificate)
        assert [one.type for one in bad.status.conditions] == ["Approved", "Failed"]
        await world.clock.advance(3700)
        await world.settle()
        assert await world.all(CERTIFICATE_SIGNING_REQUESTS) == []

    run(build, scenario)


def test_a_kubelet_that_may_not_yet_is_approved_once_it_may() -> None:
    async def scenario(w: World) -> None:
        # given a request of somebody who may have no certificate
        allowed = False
        create = w.client.create

        async def answer(resource: Any, obj: Any, *args: Any, **more: Any) -> Any:
            made = await create(resource, obj, *args, **more)
            if resource is SUBJECT_ACCESS_REVIEWS:
                made.status.allowed = allowed
            return made

        w.client.create = answer
        await ask(w, pki.Names("system:node:a", ("system:nodes",)), KUBELET)
        assert kinds(await found(w)) == []
        # when that changes
        allowed = True
        await w.clock.advance(1)
        await w.settle()
        # then
        assert kinds(await found(w)) == [("Approved", "AutoApproved")]

    run(build, scenario)
