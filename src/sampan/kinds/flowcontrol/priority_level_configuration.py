"""PriorityLevelConfiguration: how many requests of a level run at once, and what the others wait for.

Source: kubernetes `pkg/apis/flowcontrol/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

import math
from datetime import datetime

from sampan.api import field
from sampan.api.flowcontrol.v1 import (
    ExemptPriorityLevelConfiguration,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    PriorityLevelConfiguration,
    QueuingConfiguration,
)
from sampan.api.resources import PRIORITY_LEVEL_CONFIGURATIONS
from sampan.kinds import meta
from sampan.kinds.checks import Findings
from sampan.kinds.flowcontrol.flow_schema import condition_types
from sampan.kinds.flowcontrol.mandatory import CATCH_ALL_LEVEL
from sampan.kinds.kind import Cell, Column, Kind, SubKind
from sampan.kinds.printing import age

MAX_QUEUES = 10_000_000
MAX_HASH_BITS = 60


def default(obj: PriorityLevelConfiguration) -> None:
    spec = obj.spec
    if spec.type == "Exempt":
        if spec.exempt is None:
            spec.exempt = ExemptPriorityLevelConfiguration()
        if spec.exempt.nominalConcurrencyShares is None:
            spec.exempt.nominalConcurrencyShares = 0
        if spec.exempt.lendablePercent is None:
            spec.exempt.lendablePercent = 0
    if spec.limited is None:
        return
    if spec.limited.nominalConcurrencyShares is None:
        spec.limited.nominalConcurrencyShares = 30
    if spec.limited.lendablePercent is None:
        spec.limited.lendablePercent = 0
    queuing = spec.limited.limitResponse.queuing
    if queuing is not None:
        queuing.handSize, queuing.queues = queuing.handSize or 8, queuing.queues or 64
        queuing.queueLengthLimit = queuing.queueLengthLimit or 50


def validate(obj: PriorityLevelConfiguration) -> Findings:
    spec, name, out = obj.spec, obj.metadata.name, Findings()
    if (name == "exempt") != (spec.type == "Exempt"):
        out.append(field.invalid("spec.type", spec.type, "must be 'Exempt' if and only if `name` is 'exempt'"))
    if spec.type == "Exempt":
        if spec.limited is not None:
            out.append(field.forbidden("spec.limited", "must be nil if the type is not Limited"))
        if spec.exempt is not None:
            out += _shares(spec.exempt, "spec.exempt", lowest=0)
    elif spec.type == "Limited":
        if spec.exempt is not None:
            out.append(field.forbidden("spec.exempt", "must be nil if the type is Limited"))
        if spec.limited is None:
            out.append(field.required("spec.limited", "must not be empty when type is Limited"))
        else:
            out += _limited(spec.limited, "spec.limited")
    elif spec.type:
        out.append(field.not_supported("spec.type", spec.type, ("Exempt", "Limited")))
    else:
        out.append(field.required("spec.type"))
    out += _fixed(obj)
    return out + condition_types(obj.status.conditions)


def _fixed(obj: PriorityLevelConfiguration) -> Findings:
    """What may not change about the two mandatory ones: only exempt's shares may."""
    spec, name = obj.spec, obj.metadata.name
    shown = {"Type": spec.type, "Limited": spec.limited,
             "Exempt": spec.exempt and {"NominalConcurrencyShares": spec.exempt.nominalConcurrencyShares,
                                        "LendablePercent": spec.exempt.lendablePercent}}
    if name == "exempt" and (spec.type != "Exempt" or spec.limited is not None):
        return [field.invalid("spec", shown, "spec of 'exempt' except the 'spec.exempt' field must equal the fixed value")]
    if name == "catch-all" and spec != CATCH_ALL_LEVEL:
        return [field.invalid("spec", shown, "spec of 'catch-all' must equal the fixed value")]
    return []


def _shares(part: ExemptPriorityLevelConfiguration | LimitedPriorityLevelConfiguration, at: str, *, lowest: int) -> Findings:
    out: Findings = []
    shares, lendable = part.nominalConcurrencyShares, part.lendablePercent
    if shares is not None and shares < lowest:
        out.append(field.invalid(f"{at}.nominalConcurrencyShares", shares, "must be a non-negative integer"))
    if lendable is not None and not 0 <= lendable <= 100:
        out.append(field.invalid(f"{at}.lendablePercent", lendable, "must be between 0 and 100, inclusive"))
    return out


def _limited(part: LimitedPriorityLevelConfiguration, at: str) -> Findings:
    out = _shares(part, at, lowest=0)
    out += _response(part.limitResponse, f"{at}.limitResponse")
    if part.borrowingLimitPercent is not None and part.borrowingLimitPercent < 0:
        out.append(field.invalid(f"{at}.borrowingLimitPercent", part.borrowingLimitPercent,
                                 "if specified, must be a non-negative integer"))
    return out


def _response(response: LimitResponse, at: str) -> Findings:
    if response.type == "Reject":
        if response.queuing is not None:
            return [field.forbidden(f"{at}.queuing", "must be nil if limited.limitResponse.type is not Limited")]
        return []
    if response.type == "Queue":
        if response.queuing is None:
            return [field.required(f"{at}.queuing", "must not be empty if limited.limitResponse.type is Limited")]
        return _queuing(response.queuing, f"{at}.queuing")
    if not response.type:
        return [field.required(f"{at}.type")]
    return [field.not_supported(f"{at}.type", response.type, ("Queue", "Reject"))]


def _queuing(queuing: QueuingConfiguration, at: str) -> Findings:
    out: Findings = []
    if queuing.queueLengthLimit <= 0:
        out.append(field.invalid(f"{at}.queueLengthLimit", queuing.queueLengthLimit, "must be positive"))
    if queuing.queues <= 0:
        out.append(field.invalid(f"{at}.queues", queuing.queues, "must be positive"))
    elif queuing.queues > MAX_QUEUES:
        out.append(field.invalid(f"{at}.queues", queuing.queues, f"must not be greater than {MAX_QUEUES}"))
    where, hand = f"{at}.handSize", queuing.handSize
    if hand <= 0:
        out.append(field.invalid(where, hand, "must be positive"))
    elif hand > queuing.queues:
        out.append(field.invalid(where, hand, f"should not be greater than queues ({queuing.queues})"))
    elif entropy_bits(queuing.queues, hand) > MAX_HASH_BITS:
        out.append(field.invalid(where, hand, f"required entropy bits of deckSize {queuing.queues} and handSize {hand} should "
                                              f"not be greater than {MAX_HASH_BITS}"))
    return out


def entropy_bits(queues: int, hand: int) -> int:
    """How many bits of a hash it takes to deal a hand of queues (shuffle sharding)."""
    return math.ceil(math.log2(queues) * hand) if queues > 1 else 0


def validate_status(new: PriorityLevelConfiguration, old: PriorityLevelConfiguration) -> Findings:
    return condition_types(new.status.conditions)


def _shares_text(obj: PriorityLevelConfiguration, _: datetime) -> Cell:
    part = obj.spec.limited if obj.spec.limited is not None else obj.spec.exempt
    return "<none>" if part is None else part.nominalConcurrencyShares


def _queue(obj: PriorityLevelConfiguration, name: str) -> Cell:
    if obj.spec.limited is None or obj.spec.limited.limitResponse.queuing is None:
        return "<none>"
    value: int = getattr(obj.spec.limited.limitResponse.queuing, name)
    return value


KIND: Kind[PriorityLevelConfiguration] = Kind(
    resource=PRIORITY_LEVEL_CONFIGURATIONS,
    metadata="object",
    default=default,
    prepare_create=meta.first_without_status,
    prepare_update=meta.change_spec,
    validate=validate,
    subkinds=(SubKind("status", meta.keep_spec_and_metadata, validate_status),),
    columns=(
        Column("Name", lambda obj, _: obj.metadata.name, format="name"),
        Column("Type", lambda obj, _: obj.spec.type),
        Column("NominalConcurrencyShares", _shares_text),
        Column("Queues", lambda obj, _: _queue(obj, "queues")),
        Column("HandSize", lambda obj, _: _queue(obj, "handSize")),
        Column("QueueLengthLimit", lambda obj, _: _queue(obj, "queueLengthLimit")),
        Column("Age", age),
    ),
)
