"""ValidatingWebhookConfiguration and MutatingWebhookConfiguration: webhooks that admission asks.

Source: kubernetes `pkg/apis/admissionregistration/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import field, names
from sampan.api.admissionregistration.v1 import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
)
from sampan.api.meta.v1 import LabelSelector
from sampan.api.resources import MUTATING_WEBHOOK_CONFIGURATIONS, VALIDATING_WEBHOOK_CONFIGURATIONS
from sampan.kinds import checks, meta
from sampan.kinds.admissionregistration import expressions, rules
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

REVIEW_VERSIONS = ("v1", "v1beta1")
SIDE_EFFECTS = ("None", "NoneOnDryRun")

Webhook = ValidatingWebhook | MutatingWebhook
Configuration = ValidatingWebhookConfiguration | MutatingWebhookConfiguration


def default(obj: Configuration) -> None:
    for hook in obj.webhooks:
        hook.failurePolicy = "Fail" if hook.failurePolicy is None else hook.failurePolicy
        hook.matchPolicy = "Equivalent" if hook.matchPolicy is None else hook.matchPolicy
        hook.namespaceSelector = hook.namespaceSelector or LabelSelector()
        hook.objectSelector = hook.objectSelector or LabelSelector()
        if hook.timeoutSeconds is None:
            hook.timeoutSeconds = 10
        if isinstance(hook, MutatingWebhook):
            hook.reinvocationPolicy = "Never" if hook.reinvocationPolicy is None else hook.reinvocationPolicy
        rules.default_rules(hook.rules)
        if hook.clientConfig.service is not None and hook.clientConfig.service.port is None:
            hook.clientConfig.service.port = 443


def prepare_update(new: Any, old: Any) -> None:
    new.metadata.generation = old.metadata.generation + (new.webhooks != old.webhooks)


def validate(obj: Configuration) -> Findings:
    out: Findings = []
    seen: set[str] = set()
    hooks: list[Webhook] = [*obj.webhooks]
    for index, hook in enumerate(hooks):
        at = f"webhooks[{index}]"
        out += _webhook(hook, at)
        out += _review_versions(hook.admissionReviewVersions or [], f"{at}.admissionReviewVersions")
        if hook.name and hook.name in seen:
            out.append(field.duplicate(f"{at}.name", hook.name))
        seen.add(hook.name)
    return out


def _webhook(hook: Webhook, at: str) -> Findings:
    out = names.fully_qualified_name(f"{at}.name", hook.name)
    for index, rule in enumerate(hook.rules):
        out += rules.validate_rule(rule, f"{at}.rules[{index}]")
    if hook.failurePolicy is not None:
        out += checks.one_of(hook.failurePolicy, rules.FAILURE_POLICIES, f"{at}.failurePolicy")
    if hook.matchPolicy is not None:
        out += checks.one_of(hook.matchPolicy, rules.MATCH_POLICIES, f"{at}.matchPolicy")
    if hook.sideEffects is None:
        out.append(field.required(f"{at}.sideEffects", f"must specify one of {', '.join(SIDE_EFFECTS)}"))
    else:
        out += checks.one_of(hook.sideEffects, SIDE_EFFECTS, f"{at}.sideEffects")
    if hook.timeoutSeconds is not None and not 1 <= hook.timeoutSeconds <= 30:
        out.append(field.invalid(f"{at}.timeoutSeconds", hook.timeoutSeconds,
                                 "the timeout value must be between 1 and 30 seconds"))
    out += checks.label_selector(hook.namespaceSelector, f"{at}.namespaceSelector")
    out += checks.label_selector(hook.objectSelector, f"{at}.objectSelector")
    if isinstance(hook, MutatingWebhook) and hook.reinvocationPolicy is not None:
        out += checks.one_of(hook.reinvocationPolicy, rules.REINVOCATION_POLICIES, f"{at}.reinvocationPolicy")
    out += checks.webhook_client(hook.clientConfig, f"{at}.clientConfig")
    where = f"{at}.matchConditions"
    return out + rules.validate_match_conditions(hook.matchConditions, where, expressions.conditions(hook.matchConditions, where, params=False))


def _review_versions(versions: list[str], at: str) -> Findings:
    if not versions:
        return [field.required(at, f"must specify one of {', '.join(REVIEW_VERSIONS)}")]
    return checks.review_versions(versions, REVIEW_VERSIONS, at)


_COLUMNS: tuple[Column[Any], ...] = (
    Column("Name", lambda obj, _: obj.metadata.name, format="name"),
    Column("Webhooks", lambda obj, _: len(obj.webhooks), type="integer"),
    Column("Age", age),
)

VALIDATING: Kind[ValidatingWebhookConfiguration] = Kind(
    resource=VALIDATING_WEBHOOK_CONFIGURATIONS,
    metadata="object",
    default=default,
    prepare_create=meta.first_generation,
    prepare_update=prepare_update,
    validate=validate,
    columns=_COLUMNS,
    unconditional_update=False,
)

MUTATING: Kind[MutatingWebhookConfiguration] = Kind(
    resource=MUTATING_WEBHOOK_CONFIGURATIONS,
    metadata="object",
    default=default,
    prepare_create=meta.first_generation,
    prepare_update=prepare_update,
    validate=validate,
    columns=_COLUMNS,
    unconditional_update=False,
)
