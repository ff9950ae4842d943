"""Match conditions: CEL expressions that must all be true for a webhook to be asked.

Owns what becomes of false and of errors. Leaves the language to `sampan.api.cel`. May raise `Undecided`, as every decision may.
Source: apiserver `pkg/admission/plugin/webhook/matchconditions/matcher.go`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sampan.api import codec
from sampan.api.admissionregistration.v1 import MatchCondition
from sampan.api.errors import Forbidden
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.webhooks.review import Seen, attributes
from sampan.apiserver.webhooks.source import Hook

if TYPE_CHECKING:
    from sampan.api.cel.environment import Environment


@cache
def _environment() -> Environment:
    from sampan.api.cel.environment import Environment  # the language is imported with the first condition
    from sampan.api.cel.library.authorizer import AUTHORIZER, RESOURCE_CHECK
    from sampan.api.cel.types import DYN

    return Environment({**dict.fromkeys(("object", "oldObject", "request"), DYN), "authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK})


def hold(hook: Hook, request: AdmissionRequest, seen: Seen, authorizers: Authorizers) -> bool:
    """Whether the webhook's conditions are all true; an error counts as false where the webhook fails open.

    Raises:
        Forbidden: A condition can't be judged, none is false, and the webhook fails closed.
    """
    conditions = hook.webhook.matchConditions
    if not conditions:
        return True
    from sampan.apiserver.admission.policies import authorizer_values

    asked = attributes(request, seen)
    known: dict[str, Any] = {
        "object": codec.to_builtins(asked.pop("object")), "oldObject": codec.to_builtins(asked.pop("oldObject")), "request": codec.to_builtins(asked),
        **authorizer_values(request, authorizers)}
    errors = []
    for condition in conditions:
        held = _judge(condition, known)
        if held is False:
            return False
        if isinstance(held, str):
            errors.append(held)
    if not errors:
        return True
    if hook.fails_open:
        return False
    distinct = list(dict.fromkeys(errors))
    why = distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
    raise Forbidden.on(request.resource.plural, request.resource.group, request.name, why)


def _judge(condition: MatchCondition, known: dict[str, Any]) -> bool | str:
    """True, false, or why neither."""
    from sampan.api.cel.errors import CelError, CompileError

    try:
        value = _environment().compile(condition.expression).evaluate(known)
    except CompileError as error:
        return f"compilation error: {error}"
    except CelError as error:
        return f"expression '{condition.expression}' resulted in error: {error}"
    return value if isinstance(value, bool) else f"expression '{condition.expression}' must evaluate to bool"
