"""Authorization by another server: a SubjectAccessReview for what its match conditions let through.

What was answered is remembered; `authorize` says it, or raises `Undecided` with the question.
Source: apiserver `plugin/pkg/authorizer/webhook/webhook.go`, `pkg/authorization/cel`.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from sampan.aio.clock import AsyncClock
from sampan.api import codec, selectors
from sampan.apiserver.auth.asking import Undecided, answered
from sampan.apiserver.auth.base import Decision
from sampan.apiserver.auth.remembered import Remembered
from sampan.apiserver.auth.remote import NoAnswer, RemoteReviews
from sampan.apiserver.request import Attributes, User
from sampan.client.kubeconfig import Access

if TYPE_CHECKING:
    from sampan.api.cel.environment import Environment

log = logging.getLogger(__name__)

REMEMBERED_BYTES = 10_000
"""Questions that are larger are asked each time."""
_NO_OPINION = Decision(allowed=False)


class WebhookSettings(NamedTuple):
    """One webhook. Times in seconds; `deny_on_failure` False: one that can't be asked has no opinion."""

    name: str
    access: Access
    authorized_seconds: float = 300.0
    unauthorized_seconds: float = 30.0
    timeout_seconds: float = 30.0
    version: str = "v1beta1"
    deny_on_failure: bool = False
    conditions: tuple[str, ...] = ()


@cache
def environment() -> Environment:
    """What match conditions see: `request`, the review's spec."""
    from sampan.api.cel.environment import Environment
    from sampan.api.cel.types import STRING, list_of, map_of, object_type

    term = object_type("kubernetes.SelectorRequirement", {"key": STRING, "operator": STRING, "values": list_of(STRING)})
    selector = object_type("kubernetes.SelectorAttributes", {"rawSelector": STRING, "requirements": list_of(term)})
    resource = object_type("kubernetes.ResourceAttributes", {
        **dict.fromkeys(("namespace", "verb", "group", "version", "resource", "subresource", "name"), STRING),
        "fieldSelector": selector, "labelSelector": selector})
    path = object_type("kubernetes.NonResourceAttributes", {"path": STRING, "verb": STRING})
    return Environment({"request": object_type("kubernetes.SubjectAccessReviewSpec", {
        "resourceAttributes": resource, "nonResourceAttributes": path, "user": STRING, "groups": list_of(STRING),
        "extra": map_of(STRING, list_of(STRING)), "uid": STRING})})


def spec_of(attributes: Attributes) -> dict[str, Any]:
    """The question as a review's spec; what is empty is left out."""
    user = attributes.user
    spec: dict[str, Any] = {key: value for key, value in (
        ("user", user.name), ("uid", user.uid), ("groups", list(user.groups)), ("extra", {key: list(values) for key, values in user.extra.items()})) if value}
    if not attributes.is_resource:
        return spec | {"nonResourceAttributes": {"path": attributes.path, "verb": attributes.verb}}
    parts: dict[str, Any] = {key: value for key, value in (
        ("namespace", attributes.namespace), ("verb", attributes.verb), ("group", attributes.group), ("version", attributes.version),
        ("resource", attributes.resource), ("subresource", attributes.subresource), ("name", attributes.name)) if value}
    if terms := _field_terms(attributes.field_selector):
        parts["fieldSelector"] = {"requirements": terms}
    if terms := _label_terms(attributes.label_selector):
        parts["labelSelector"] = {"requirements": terms}
    return spec | {"resourceAttributes": parts}


def _label_terms(text: str) -> list[dict[str, Any]]:
    operators = {"=": "In", "==": "In", "in": "In", "!=": "NotIn", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist"}
    try:
        found = selectors.parse_labels(text).requirements if text else ()
    except selectors.SelectorError:
        return []  # the request will be refused for it
    terms = [{"key": one.key, "operator": operators.get(one.operator, ""), "values": sorted(one.values)} for one in found]
    return [{key: value for key, value in term.items() if value} for term in terms if term["operator"]]


def _field_terms(text: str) -> list[dict[str, Any]]:
    try:
        found = selectors.parse_fields(text).terms if text else ()
    except selectors.SelectorError:
        return []
    return [{"key": one.field, "operator": "In" if one.equal else "NotIn", "values": [one.value]} for one in found]


class AccessQuestion:
    """One review to be asked."""

    def __init__(self, webhook: WebhookAuthorizer, key: bytes, spec: dict[str, Any], remembered: bool) -> None:
        self._webhook, self._key, self._spec, self._remembered = webhook, key, spec, remembered

    @property
    def key(self) -> bytes:
        return self._key

    async def ask(self) -> Decision:
        """See `asking.Question`."""
        return await self._webhook.ask(self._key, self._spec, remembered=self._remembered)


class WebhookAuthorizer:
    """Keeps the contract of `Authorizer`."""

    def __init__(self, settings: WebhookSettings, clock: AsyncClock) -> None:
        self._settings = settings
        self._reviews = RemoteReviews(settings.access, clock, seconds=settings.timeout_seconds)
        self._known: Remembered[Decision] = Remembered(clock)
        self._salt = settings.name.encode()

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._reviews.close()

    def authorize(self, attributes: Attributes) -> Decision:
        """What the webhook has said.

        Raises:
            Undecided: It has not been asked yet.
        """
        spec = spec_of(attributes)
        if self._settings.conditions:
            concerned, error = self._concerned(spec)
            if error:
                return self._failed(error)
            if not concerned:
                return _NO_OPINION
        text = codec.encode(spec)
        key = hashlib.sha256(self._salt + b"\0" + text).digest()
        decision = answered(key) or self._known.get(key)
        if decision is None:
            raise Undecided(AccessQuestion(self, key, spec, len(text) < REMEMBERED_BYTES))
        return decision

    def rules_for(self, user: User, namespace: str) -> tuple[list[dict[str, list[str]]], list[dict[str, list[str]]], bool]:
        """A webhook can't list rules."""
        return [], [], True

    async def ask(self, key: bytes, spec: dict[str, Any], *, remembered: bool) -> Decision:
        """Ask, and remember what was said; one that can't be asked has the opinion that its settings say."""
        review = {"kind": "SubjectAccessReview", "apiVersion": f"authorization.k8s.io/{self._settings.version}", "spec": spec}
        try:
            status = await self._reviews.status(_beta(review) if self._settings.version == "v1beta1" else review)
        except NoAnswer as error:
            log.error("an access could not be asked about", extra={"webhook": self._settings.name, "why": str(error)})
            return self._failed(str(error))
        allowed, denied, reason = bool(status.get("allowed")), bool(status.get("denied")), str(status.get("reason") or "")
        if allowed and denied:
            return Decision(allowed=False, denied=True, error="webhook subject access review returned both allow and deny response")
        decision = Decision(allowed, reason, denied)
        if remembered:
            self._known.put(key, decision, self._settings.authorized_seconds if allowed else self._settings.unauthorized_seconds)
        return decision

    def _failed(self, error: str) -> Decision:
        return Decision(allowed=False, denied=self._settings.deny_on_failure, error=error)

    def _concerned(self, spec: dict[str, Any]) -> tuple[bool, str]:
        """Whether all conditions hold; why that can't be told."""
        from sampan.api.cel.errors import CelError

        errors: list[str] = []
        for expression in self._settings.conditions:
            try:
                if environment().compile(expression.strip()).evaluate({"request": spec}) is False:
                    return False, ""
            except CelError as error:
                errors.append(f"cel evaluation error: expression '{expression}' resulted in error: {error}")
        return not errors, "; ".join(errors)


def _beta(review: dict[str, Any]) -> dict[str, Any]:
    """v1beta1 calls the groups `group`."""
    spec = dict(review["spec"])
    if "groups" in spec:
        spec["group"] = spec.pop("groups")
    return {**review, "spec": spec}
