"""Certificate signing requests: approved for kubelets, signed for built-in signers, cleaned up."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from controllers.harness import World, run
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS
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
