"""MutatingAdmissionWebhook: webhooks that change objects, one after the other, each given what the one before it left.

Owns their order, the patches, and asking again (`reinvocationPolicy`). Leaves single calls to `sampan.apiserver.webhooks`.
Source: apiserver `pkg/admission/plugin/webhook/mutating`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sampan.api import codec, patch
from sampan.api.errors import ApiError, BadRequest
from sampan.api.resources import MUTATING_WEBHOOK_CONFIGURATIONS
from sampan.apiserver import metadata
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.asking import decided
from sampan.apiserver.watchcache import Readers
from sampan.apiserver.webhooks.dispatch import Unanswered, Webhooks, internal
from sampan.apiserver.webhooks.matching import exempt
from sampan.apiserver.webhooks.review import Seen, Verdict
from sampan.apiserver.webhooks.source import Hook, Source

log = logging.getLogger(__name__)

MUTATION = "mutation.webhook.admission.k8s.io/"
PATCH = "patch.webhook.admission.k8s.io/"
FAILED_OPEN = f"failed-open.{MUTATION}"


@dataclass
class _Memory:
    """What the first round leaves for the second: webhooks that want to be asked again if something changes after them."""

    invoked: set[str] = field(default_factory=set)
    again: set[str] = field(default_factory=set)
    output: bytes = b""

    def changed(self) -> None:
        self.again |= self.invoked
        self.invoked.clear()


class MutatingWebhook:
    name = "MutatingAdmissionWebhook"

    def __init__(self, readers: Readers, webhooks: Webhooks) -> None:
        self._source, self._webhooks = Source(readers, MUTATING_WEBHOOK_CONFIGURATIONS), webhooks

    def handles(self, request: AdmissionRequest) -> bool:
        return not exempt(request.resource)

    async def admit(self, request: AdmissionRequest) -> None:
        hooks = self._source.hooks()
        if not hooks:
            return
        rounds = request.reinvocation
        memory: _Memory = rounds.memory.setdefault(self.name, _Memory())
        if rounds.second and memory.invoked and codec.encode(request.object) != memory.output:
            memory.changed()
        for index, hook in enumerate(hooks):
            seen = await decided(partial(self._webhooks.seen, hook, request))
            if seen is None or (rounds.second and hook.uid not in memory.again):
                continue
            changed = await self._call(hook, request, seen, f"round_{int(rounds.second)}_index_{index}")
            if changed:
                memory.changed()
                rounds.wanted = True
            if getattr(hook.webhook, "reinvocationPolicy", None) == "IfNeeded":
                memory.invoked.add(hook.uid)
        memory.output = codec.encode(request.object) if memory.invoked else b""

    async def _call(self, hook: Hook, request: AdmissionRequest, seen: Seen, place: str) -> bool:
        """Whether it changed the object."""
        changed = False
        try:
            verdict = await self._webhooks.ask(hook, request, seen, mutating=True)
            changed = bool(verdict.patch) and await self._apply(hook, request, seen, verdict, place)
        except Unanswered as error:
            if not hook.fails_open:
                log.warning("failed calling webhook, failing closed", extra={"webhook": hook.name, "error": str(error)})
                raise internal(str(error)) from error
            log.warning("failed calling webhook, failing open", extra={"webhook": hook.name, "error": str(error)})
            request.audit_annotations[FAILED_OPEN + place] = hook.name
        finally:
            request.audit_annotations[MUTATION + place] = codec.encode(
                {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}).decode()
        return changed

    async def _apply(self, hook: Hook, request: AdmissionRequest, seen: Seen, verdict: Verdict, place: str) -> bool:
        operations = _operations(hook, verdict)
        if not operations:
            return False
        if seen.object is None:
            raise internal(f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this operation')
        if verdict.patch_type != "JSONPatch":
            raise Unanswered(hook.name, f'unsupported patch type "{verdict.patch_type}"')
        try:
            tree = patch.parse(patch.JSON, verdict.patch, None).apply(codec.to_builtins(seen.object))
        except patch.Unprocessable as error:
            raise internal(error.why) from None
        except ApiError as error:
            raise Unanswered(hook.name, f"received undecodable patch in webhook response: {error.message}") from None
        new = await decided(partial(self._webhooks.back, request, seen, tree))
        _keep_identity(new, request)
        self._webhooks.default(request, new)
        changed = codec.encode(new) != codec.encode(request.object)
        request.object = new
        request.audit_annotations[PATCH + place] = codec.encode(
            {"configuration": hook.configuration, "webhook": hook.name, "patch": operations, "patchType": "JSONPatch"}).decode()
        return changed


def _operations(hook: Hook, verdict: Verdict) -> Any:
    try:
        return codec.loads(verdict.patch)
    except (codec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unanswered(hook.name, f"received undecodable patch in webhook response: {error}") from None


def _keep_identity(new: Any, request: AdmissionRequest) -> None:
    """What an object is, and where, is decided before webhooks are asked.

    Raises:
        BadRequest: It would move to another namespace.
    """
    if not isinstance(new, dict) and not hasattr(new, "metadata"):
        return
    meta, was = metadata.meta_of(new), metadata.meta_of(request.object)
    if meta.namespace != was.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    meta.uid, meta.creationTimestamp, meta.deletionTimestamp = was.uid, was.creationTimestamp, was.deletionTimestamp
    metadata.put_meta(new, meta)
