"""Validation of what decides where a pod may run: affinity, tolerations, spread constraints, gates, node selectors.

Source: kubernetes `pkg/apis/core/validation` (`validateAffinity`, `ValidateTolerations`, `validateTopologySpreadConstraints`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api import field, names
from sampan.api.core.v1 import (
    Affinity,
    NodeSelector,
    NodeSelectorRequirement,
    NodeSelectorTerm,
    PodAffinity,
    PodAffinityTerm,
    PodAntiAffinity,
    PodSchedulingGate,
    Toleration,
    TopologySpreadConstraint,
)
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import LabelSelector
from sampan.kinds import label_selectors

Errors = list[FieldError]

TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_NOT_AN_OPERATOR = "not a valid selector operator"
_WEIGHT = "must be in the range 1-100"


def _key(errors: Errors, key: str, path: str) -> None:
    if messages := names.qualified_name(key):
        errors += field.invalid_each(path, key, messages)


def affinity(errors: Errors, wanted: Affinity, path: str) -> None:
    node = wanted.nodeAffinity
    if node is not None:
        at = f"{path}.nodeAffinity"
        if node.requiredDuringSchedulingIgnoredDuringExecution is not None:
            node_selector(errors, node.requiredDuringSchedulingIgnoredDuringExecution, f"{at}.{_REQUIRED}")
        for index, preferred in enumerate(node.preferredDuringSchedulingIgnoredDuringExecution):
            here = f"{at}.{_PREFERRED}[{index}]"
            if not 1 <= preferred.weight <= 100:
                errors.append(field.invalid(f"{here}.weight", preferred.weight, _WEIGHT))
            node_term(errors, preferred.preference, f"{here}.preference", check_values=False)
    for name, pods in (("podAffinity", wanted.podAffinity), ("podAntiAffinity", wanted.podAntiAffinity)):
        if pods is not None:
            _pod_affinity(errors, pods, f"{path}.{name}")


def node_selector(errors: Errors, selector: NodeSelector, path: str) -> None:
    """Required terms: of pods, of volumes, of device classes."""
    if not selector.nodeSelectorTerms:
        errors.append(field.required(f"{path}.nodeSelectorTerms", "must have at least one node selector term"))
    for index, term in enumerate(selector.nodeSelectorTerms or ()):
        node_term(errors, term, f"{path}.nodeSelectorTerms[{index}]", check_values=True)


def node_term(errors: Errors, term: NodeSelectorTerm, path: str, *, check_values: bool) -> None:
    """One term, required or preferred."""
    for index, one in enumerate(term.matchExpressions):
        _node_requirement(errors, one, f"{path}.matchExpressions[{index}]", check_values=check_values)
    for index, one in enumerate(term.matchFields):
        _node_field(errors, one, f"{path}.matchFields[{index}]")


def _node_requirement(errors: Errors, one: NodeSelectorRequirement, path: str, *, check_values: bool) -> None:
    if one.operator in ("In", "NotIn"):
        if not one.values:
            errors.append(field.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    elif one.operator in ("Exists", "DoesNotExist"):
        if one.values:
            errors.append(field.forbidden(f"{path}.values",
                                          "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
    elif one.operator in ("Gt", "Lt"):
        if len(one.values) != 1:
            errors.append(field.required(f"{path}.values",
                                         "must be specified single value when `operator` is 'Lt' or 'Gt'"))
    else:
        errors.append(field.invalid(f"{path}.operator", one.operator, _NOT_AN_OPERATOR))
    _key(errors, one.key, f"{path}.key")
    if check_values:
        for index, value in enumerate(one.values):
            if messages := names.label_value(value):
                errors += field.invalid_each(f"{path}.values[{index}]", value, messages)


def _node_field(errors: Errors, one: NodeSelectorRequirement, path: str) -> None:
    if one.operator not in ("In", "NotIn"):
        errors.append(field.invalid(f"{path}.operator", one.operator, _NOT_AN_OPERATOR))
    elif len(one.values) != 1:
        errors.append(field.required(f"{path}.values",
                                     "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
    if one.key != "metadata.name":
        errors.append(field.invalid(f"{path}.key", one.key, "not a valid field selector key"))
        return
    for index, value in enumerate(one.values):
        errors += field.invalid_each(f"{path}.values[{index}]", value, names.dns1123_subdomain(value))


def _pod_affinity(errors: Errors, pods: PodAffinity | PodAntiAffinity, path: str) -> None:
    for index, term in enumerate(pods.requiredDuringSchedulingIgnoredDuringExecution):
        _pod_term(errors, term, f"{path}.{_REQUIRED}[{index}]")
    for index, weighted in enumerate(pods.preferredDuringSchedulingIgnoredDuringExecution):
        at = f"{path}.{_PREFERRED}[{index}]"
        if not 1 <= weighted.weight <= 100:
            errors.append(field.invalid(f"{at}.weight", weighted.weight, _WEIGHT))
        _pod_term(errors, weighted.podAffinityTerm, f"{at}.podAffinityTerm")


def _pod_term(errors: Errors, term: PodAffinityTerm, path: str) -> None:
    label_selectors.label_selector(errors, term.labelSelector, f"{path}.labelSelector")
    label_selectors.label_selector(errors, term.namespaceSelector, f"{path}.namespaceSelector")
    for name in term.namespaces:
        errors += field.invalid_each(f"{path}.namespace", name, names.dns1123_label(name))
    if term.matchLabelKeys or term.mismatchLabelKeys:
        _label_keys(errors, term.matchLabelKeys, term.mismatchLabelKeys, term.labelSelector, path)
    if not term.topologyKey:
        errors.append(field.required(f"{path}.topologyKey", "can not be empty"))
    _key(errors, term.topologyKey, f"{path}.topologyKey")


def _label_keys(errors: Errors, match: Sequence[str], mismatch: Sequence[str], selector: LabelSelector | None, path: str) -> None:
    for name, keys in (("matchLabelKeys", match), ("mismatchLabelKeys", mismatch)):
        if keys and selector is None:
            errors.append(field.forbidden(f"{path}.{name}", "must not be specified when labelSelector is not set"))
        elif keys:
            for index, key in enumerate(keys):
                _key(errors, key, f"{path}.{name}[{index}]")
    if selector is not None:
        # a pod's strategy has merged each key into the selector once: a second time it is the user's own
        known = set(selector.matchLabels)
        for expression in selector.matchExpressions:
            if expression.key in known and expression.key in match:
                errors.append(field.invalid(f"{path}[{_last(match, expression.key)}]", expression.key,
                                            "exists in both matchLabelKeys and labelSelector"))
            known.add(expression.key)
    for index, key in enumerate(match):
        if key in mismatch:
            errors.append(field.invalid(f"{path}.matchLabelKeys[{index}]", key,
                                        "exists in both matchLabelKeys and mismatchLabelKeys"))


def _last(values: Sequence[str], wanted: str) -> int:
    return max(index for index, value in enumerate(values) if value == wanted)


def taint_effect(errors: Errors, effect: str, path: str) -> None:
    """An effect that is set."""
    if effect not in TAINT_EFFECTS:
        errors.append(field.not_supported(path, effect, TAINT_EFFECTS))


def tolerations(errors: Errors, wanted: list[Toleration], path: str) -> None:
    for index, one in enumerate(wanted):
        if one.key:
            if messages := names.qualified_name(one.key):
                errors += field.invalid_each(f"{path}[{index}].key", one.key, messages)
        elif one.operator != "Exists":
            errors.append(field.invalid(f"{path}[{index}].operator", one.operator,
                                        'operator must be Exists when `key` is empty, which means '
                                        '"match all values and all keys"'))
        if one.tolerationSeconds is not None and one.effect != "NoExecute":
            errors.append(field.invalid(f"{path}[{index}].effect", one.effect,
                                        "effect must be 'NoExecute' when `tolerationSeconds` is set"))
        if one.operator == "Exists":
            if one.value:
                errors.append(field.invalid(f"{path}[{index}].operator", one.value,
                                            "value must be empty when `operator` is 'Exists'"))
        elif one.operator in ("Equal", ""):
            if messages := names.label_value(one.value):
                errors.append(field.invalid(f"{path}[{index}].operator", one.value, ";".join(messages)))
        else:
            known = ("Equal", "Exists", "Lt", "Gt") if one.operator in ("Lt", "Gt") else ("Equal", "Exists")  # their gate is off
            errors.append(field.not_supported(f"{path}[{index}].operator", one.operator, known))
        if one.effect and one.effect not in TAINT_EFFECTS:
            taint_effect(errors, one.effect, f"{path}[{index}].effect")


def spread_constraints(errors: Errors, wanted: list[TopologySpreadConstraint], path: str) -> None:
    last = {(one.topologyKey, one.whenUnsatisfiable): index for index, one in enumerate(wanted)}
    for index, one in enumerate(wanted):
        at = f"{path}[{index}]"
        if one.maxSkew <= 0:
            errors.append(field.invalid(f"{at}.maxSkew", one.maxSkew, "must be greater than zero"))
        if not one.topologyKey:
            errors.append(field.required(f"{at}.topologyKey", "can not be empty"))
        if one.whenUnsatisfiable not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.append(field.not_supported(f"{at}.whenUnsatisfiable", one.whenUnsatisfiable,
                                              ("DoNotSchedule", "ScheduleAnyway")))
        if last[one.topologyKey, one.whenUnsatisfiable] > index:
            errors.append(field.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}",
                                          f"{{{one.topologyKey}, {one.whenUnsatisfiable}}}"))
        if one.minDomains is not None:
            if one.minDomains <= 0:
                errors.append(field.invalid(f"{at}.minDomains", one.minDomains, "must be greater than zero"))
            if one.whenUnsatisfiable != "DoNotSchedule":
                errors.append(field.invalid(f"{at}.minDomains", one.minDomains, "can only use minDomains if whenUnsatisfiable="
                                            f"DoNotSchedule, not {one.whenUnsatisfiable}"))
        for name, policy in (("nodeAffinityPolicy", one.nodeAffinityPolicy), ("nodeTaintsPolicy", one.nodeTaintsPolicy)):
            if policy is not None and policy not in ("Honor", "Ignore"):
                errors.append(field.not_supported(f"{at}.{name}", policy, ("Honor", "Ignore")))
        if one.matchLabelKeys:
            _label_keys(errors, one.matchLabelKeys, (), one.labelSelector, at)
        label_selectors.label_selector(errors, one.labelSelector, f"{at}.labelSelector")


def scheduling_gates(errors: Errors, gates: list[PodSchedulingGate], path: str) -> None:
    seen: set[str] = set()
    for index, gate in enumerate(gates):
        _key(errors, gate.name, f"{path}[{index}]")
        if gate.name in seen:
            errors.append(field.duplicate(f"{path}[{index}]", gate.name))
        seen.add(gate.name)
