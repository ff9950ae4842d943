"""The control loops of certificate signing requests: approving, signing, cleaning."""

from __future__ import annotations

from abc import abstractmethod
from datetime import timedelta

from sampan.aio.backoff import Backoff
from sampan.api.authorization.v1 import ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec
from sampan.api.certificates.v1 import CertificateSigningRequest
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS, SUBJECT_ACCESS_REVIEWS
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.key import Key
from sampan.controllers.certificates.decide import approve, clean, recognizers, sign, to_sign
from sampan.lib import pki

ASK_AGAIN = Backoff(first_seconds=0.2, most_seconds=1000.0)


class _Requests(Controller):
    """What the three have in common."""

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._requests = self.informers.of(CERTIFICATE_SIGNING_REQUESTS)
        self.loop.watch(self._requests)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        csr = self._requests.get(key)
        if csr is None:
            self.writer.forget(key)
            self._forget(key)
            return DONE
        return await self._handle(key, csr) if self.writer.fresh(key) else DONE

    def _forget(self, key: Key) -> None:
        """The request is gone."""

    @abstractmethod
    async def _handle(self, key: Key, csr: CertificateSigningRequest) -> Result:
        """Bring one request further."""


class ApprovingController(_Requests):
    """Approves the client certificates of kubelets whose user may have them."""

    name = "certificatesigningrequest-approving-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._refused: dict[Key, int] = {}  # how often: who may not now may later

    async def _handle(self, key: Key, csr: CertificateSigningRequest) -> Result:
        found = recognizers(csr)
        for recognizer in found:
            if await self._may(csr, recognizer.subresource):
                await self.writer.do(key, approve(csr, recognizer.message, self.clock.now()))
                found = []
                break
        if not found:
            self._refused.pop(key, None)
            return DONE
        self._refused[key] = self._refused.get(key, 0) + 1
        return Result(ASK_AGAIN.delay_seconds(self._refused[key]))

    def _forget(self, key: Key) -> None:
        self._refused.pop(key, None)

    async def _may(self, csr: CertificateSigningRequest, subresource: str) -> bool:
        attributes = ResourceAttributes(group="certificates.k8s.io", resource="certificatesigningrequests", verb="create",
                                        subresource=subresource, version="*")
        spec = SubjectAccessReviewSpec(user=csr.spec.username, uid=csr.spec.uid, groups=csr.spec.groups, extra=dict(csr.spec.extra),
                                       resourceAttributes=attributes)
        review = SubjectAccessReview(kind="SubjectAccessReview", apiVersion="authorization.k8s.io/v1", spec=spec)
        answer = await self.client.create(SUBJECT_ACCESS_REVIEWS, review)
        return bool(answer.status.allowed)


class SigningController(_Requests):
    """Signs what was approved for the built-in signers."""

    name = "certificatesigningrequest-signing-controller"

    def __init__(self, context: Context, ca: pki.Pair, longest: timedelta, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._ca, self._longest = ca, longest
        self._until = pki.facts_of(ca.certificate).not_after

    def renew(self, ca: pki.Pair) -> None:
        """Sign with this authority from now on."""
        self._ca, self._until = ca, pki.facts_of(ca.certificate).not_after

    async def _handle(self, key: Key, csr: CertificateSigningRequest) -> Result:
        if to_sign(csr) and self.clock.now() >= self._until:
            raise Postponed(f"the signer has expired: NotAfter={self._until}")
        await self.writer.do(key, sign(csr, self._ca, self._longest, self.clock.now()))
        return DONE


class CleanerController(_Requests):
    """Deletes requests that are long over."""

    name = "certificatesigningrequest-cleaner-controller"

    async def _handle(self, key: Key, csr: CertificateSigningRequest) -> Result:
        plan = clean(csr, self.clock.now())
        await self.writer.do(key, plan)
        return Result(plan.requeue_after_seconds)
