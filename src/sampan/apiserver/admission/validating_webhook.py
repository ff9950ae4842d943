"""ValidatingAdmissionWebhook: webhooks that judge the final object, all at the same time.

Source: apiserver `pkg/admission/plugin/webhook/validating`.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import NamedTuple

from sampan.aio.each import each
from sampan.api.errors import ApiError
from sampan.api.resources import VALIDATING_WEBHOOK_CONFIGURATIONS
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.asking import decided
from sampan.apiserver.watchcache import Readers
from sampan.apiserver.webhooks.dispatch import Unanswered, Webhooks, internal
from sampan.apiserver.webhooks.matching import exempt
from sampan.apiserver.webhooks.review import Seen
from sampan.apiserver.webhooks.source import Hook, Source

log = logging.getLogger(__name__)

FAILED_OPEN = "failed-open.validating.webhook.admission.k8s.io/"
MOST_AT_ONCE = 64


class _Call(NamedTuple):
    place: int
    hook: Hook
    seen: Seen


class ValidatingWebhook:
    name = "ValidatingAdmissionWebhook"

    def __init__(self, readers: Readers, webhooks: Webhooks) -> None:
        self._source, self._webhooks = Source(readers, VALIDATING_WEBHOOK_CONFIGURATIONS), webhooks

    def handles(self, request: AdmissionRequest) -> bool:
        return not exempt(request.resource)

    async def validate(self, request: AdmissionRequest) -> None:
        hooks = self._source.hooks()
        if not hooks:
            return
        calls = [_Call(index, hook, seen) for index, hook in enumerate(hooks)
                 if (seen := await decided(partial(self._webhooks.seen, hook, request))) is not None]
        refusals: dict[int, ApiError] = {}

        async def call(one: _Call) -> None:
            if (refusal := await self._call(one, request)) is not None:
                refusals[one.place] = refusal

        if len(calls) == 1:
            await call(calls[0])
        elif calls:
            await each(calls, call, min(len(calls), MOST_AT_ONCE))
        if refusals:
            raise refusals[min(refusals)]

    async def _call(self, one: _Call, request: AdmissionRequest) -> ApiError | None:
        hook = one.hook
        try:
            await self._webhooks.ask(hook, request, one.seen, mutating=False)
        except Unanswered as error:
            if not hook.fails_open:
                log.warning("failed calling webhook, failing closed", extra={"webhook": hook.name, "error": str(error)})
                return internal(str(error))
            log.warning("failed calling webhook, failing open", extra={"webhook": hook.name, "error": str(error)})
            request.audit_annotations[f"{FAILED_OPEN}round_0_index_{one.place}"] = hook.name
        except ApiError as refusal:
            return refusal
        return None
