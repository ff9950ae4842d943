"""One call of one webhook: whether it is asked, in which version, and what its answer or its failure means.

Owns `Webhooks`, which both plugins share. Leaves the order of calls and what becomes of objects to
`sampan.apiserver.admission.{mutating,validating}_webhook`.
Source: apiserver `pkg/admission/plugin/webhook/{generic,mutating,validating}`.
"""

from __future__ import annotations

import logging
from typing import Any

from sampan.api import codec, goprint, strict
from sampan.api.errors import ApiError, BadRequest, InternalError
from sampan.api.jsonvalues import word
from sampan.api.resourceinfo import Resource
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.crossing import crossed
from sampan.apiserver.watchcache import Readers
from sampan.apiserver.webhooks import conditions, matching, review
from sampan.apiserver.webhooks.client import CallFailed, NoClient, WebhookClient
from sampan.apiserver.webhooks.review import Seen, Verdict
from sampan.apiserver.webhooks.source import Hook
from sampan.lib.clock import Identity

log = logging.getLogger(__name__)

DEFAULT_TIMEOUT_SECONDS = 10
SAFE_FOR_DRY_RUN = ("None", "NoneOnDryRun")


class Unanswered(Exception):
    """A webhook gave no usable answer; the failure policy says what that means."""

    def __init__(self, name: str, why: str) -> None:
        self.name = name
        super().__init__(f"failed calling webhook {goprint.quote(name)}: {why}")


def internal(message: str) -> InternalError:
    """`Internal error occurred: …`, as upstream tells it."""
    return InternalError(f"Internal error occurred: {message}", details={"causes": [{"message": message}]})


class Webhooks:
    """Asks webhooks."""

    def __init__(self, readers: Readers, catalog: Catalog, identity: Identity, client: WebhookClient, authorizers: Authorizers) -> None:
        self._readers, self._catalog, self._identity, self._client, self._authorizers = readers, catalog, identity, client, authorizers

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._client.close()

    def seen(self, hook: Hook, request: AdmissionRequest) -> Seen | None:
        """The request as the webhook would see it, None where it is not asked.

        Raises:
            ApiError: The namespace is not there, or a condition can't be judged.
        """
        missing: ApiError | None = None
        try:
            if not matching.in_namespace(hook, request, self._readers):
                return None
        except ApiError as error:  # matters only if the rules match
            missing = error
        if not matching.of_object(hook, (request.object, request.old)):
            return None
        resource = matching.target(hook, request, self._catalog)
        if resource is None:
            return None
        if missing is not None:
            raise missing
        seen = self._as(request, resource)
        return seen if conditions.hold(hook, request, seen, self._authorizers) else None

    def _as(self, request: AdmissionRequest, resource: Resource[Any]) -> Seen:
        kind = matching.kind_of(resource, request.subresource)
        obj, old = (self._shown(one, request, resource) for one in (request.object, request.old))
        return Seen(resource, kind, obj, old)

    def _shown(self, obj: Any, request: AdmissionRequest, resource: Resource[Any]) -> Any:
        """The object in the version of `resource`; a scale is shown as such, whatever it is written through."""
        if obj is None:
            return None
        if request.subresource == "scale" and (paths := self._served(request.resource).kind.scale) is not None:
            from sampan.apiserver.handlers.scale import scale_of

            return scale_of(paths, obj)
        if resource is request.resource or request.subresource not in ("", "status"):
            return obj
        return crossed(obj, self._served(request.resource), self._served(resource))

    def _served(self, resource: Resource[Any]) -> Served:
        served = self._catalog.find(resource.group, resource.version, resource.plural)
        if served is None:
            raise internal(f"unable to convert to {resource.group_version}, Resource={resource.plural}: unknown kind")
        return served

    async def ask(self, hook: Hook, request: AdmissionRequest, seen: Seen, *, mutating: bool) -> Verdict:
        """Ask the webhook.

        Raises:
            Unanswered: It could not be asked, or what it said is no answer.
            BadRequest: It does not know dry runs.
            OtherStatus: It denied the request.
        """
        webhook = hook.webhook
        if request.dry_run and webhook.sideEffects not in SAFE_FOR_DRY_RUN:
            raise BadRequest(f"admission webhook {goprint.quote(hook.name)} does not support dry run")
        version = review.version_of(webhook.admissionReviewVersions)
        if not version:
            raise Unanswered(hook.name, "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)")
        uid = self._identity.uid()
        body = review.render(version, uid, request, seen)
        try:
            answer = await self._client.post(webhook.clientConfig, body, webhook.timeoutSeconds or DEFAULT_TIMEOUT_SECONDS)
            verdict = review.verdict(version, uid, review.parse(answer), mutating=mutating)
        except NoClient as error:
            raise Unanswered(hook.name, f"could not get REST client: {error}") from error
        except (CallFailed, review.Undecodable) as error:
            raise Unanswered(hook.name, f"failed to call webhook: {error}") from error
        except review.BadReview as error:
            raise Unanswered(hook.name, f"received invalid webhook response: {error}") from error
        request.audit_annotations.update({f"{hook.name}/{key}": value for key, value in verdict.audit_annotations.items()})
        request.warnings += verdict.warnings
        if not verdict.allowed:
            raise review.denial(hook.name, verdict.status)
        return verdict

    def back(self, request: AdmissionRequest, seen: Seen, tree: Any) -> Any:
        """The request's own object out of the changed tree of the one that the webhook saw.

        Raises:
            InternalError: The tree can't be such an object.
            BadRequest: It is in another namespace.
        """
        new = _typed(seen.object, tree)
        if request.subresource == "scale" and (paths := self._served(request.resource).kind.scale) is not None:
            changed = codec.clone(request.object)
            paths.set_replicas(changed, new.spec.replicas)
            return changed
        if seen.resource is not request.resource and request.subresource in ("", "status"):
            new = crossed(new, self._served(seen.resource), self._served(request.resource))
        return new

    def default(self, request: AdmissionRequest, obj: Any) -> None:
        """Fill in what a webhook left out."""
        if request.subresource in ("", "status"):
            self._served(request.resource).kind.default(obj)


def _typed(old: Any, tree: Any) -> Any:
    wire = type(old)
    if not isinstance(tree, dict):
        raise internal(f"couldn't get version/kind; json parse error: json: cannot unmarshal {word(tree)} into Go value of type struct")
    was = (old.get("apiVersion"), old.get("kind")) if isinstance(old, dict) else (getattr(old, "apiVersion", ""), getattr(old, "kind", ""))
    if (is_now := (tree.get("apiVersion", ""), tree.get("kind", ""))) != was and any(was):
        raise internal(f'no kind "{is_now[1]}" is registered for version "{is_now[0]}" in scheme "pkg/runtime/scheme.go:111"')
    if wire is dict:
        if not isinstance(tree.get("metadata"), dict):
            raise internal("Object 'metadata' is missing")
        return tree
    try:
        return codec.convert(wire, tree)
    except codec.DecodeError:
        pass  # slowly, to leave out what is not known and to say what is wrong
    try:
        return codec.convert(wire, strict.coerce_to(wire, tree, "")[0])
    except (strict.Undecodable, codec.DecodeError) as error:
        raise internal(str(error)) from None
