"""What a deletion does to an object: pure decisions on finalizers, grace and propagation.

Source: apiserver `pkg/registry/rest/delete.go` and `pkg/registry/generic/registry/store.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from sampan.api.errors import FieldError, Invalid
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta
from sampan.api.scalars import Time
from sampan.kinds.kind import Dependents, Kind

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


class Step(Enum):
    """What the registry does next."""

    NOW = "delete the key"
    MARK = "write the object as it is now, then it stays"
    MARK_AND_GO = "write the object as it is now, then delete the key"
    PENDING = "nothing: it is being deleted already"


@dataclass(frozen=True)
class Verdict:
    """The step, on an object whose metadata `decide` has changed in place."""

    step: Step
    grace_seconds: int = 0


def validate_options(options: DeleteOptions) -> None:
    """Refuse options that contradict themselves.

    Raises:
        Invalid: With upstream's findings.
    """
    found: list[FieldError] = []
    if options.propagationPolicy is not None and options.orphanDependents is not None:
        found.append(FieldError("FieldValueInvalid", "propagationPolicy",
                                f'Invalid value: "{options.propagationPolicy}": orphanDependents and deletionPropagation cannot be both set'))
    if options.propagationPolicy not in (None, "Foreground", "Background", "Orphan"):
        found.append(FieldError("FieldValueNotSupported", "propagationPolicy",
                                f'Unsupported value: "{options.propagationPolicy}": supported values: '
                                '"Foreground", "Background", "Orphan", "nil"'))
    found += dry_run_errors(options.dryRun)
    if found:
        raise Invalid.of("DeleteOptions", "meta.k8s.io", "", found)


def dry_run_errors(values: list[str]) -> list[FieldError]:
    """Findings about `dryRun`, which may only say All."""
    if all(value == "All" for value in values):
        return []
    shown = "[" + ", ".join(f'"{value}"' for value in values) + "]"
    return [FieldError("FieldValueNotSupported", "dryRun", f'Unsupported value: {shown}: supported values: "All"')]


def _orphans(meta: ObjectMeta, options: DeleteOptions, default: Dependents) -> bool:
    if options.orphanDependents is not None:
        return options.orphanDependents
    if options.propagationPolicy is not None:
        return options.propagationPolicy == "Orphan"
    return next((one == ORPHAN for one in meta.finalizers if one in (ORPHAN, FOREGROUND)), default == "orphan")


def _foreground(meta: ObjectMeta, options: DeleteOptions) -> bool:
    if options.orphanDependents is not None:
        return False
    if options.propagationPolicy is not None:
        return options.propagationPolicy == "Foreground"
    return next((one == FOREGROUND for one in meta.finalizers if one in (ORPHAN, FOREGROUND)), False)


def finalizers_for(meta: ObjectMeta, options: DeleteOptions, default: Dependents = "delete") -> list[str]:
    """The finalizers with the garbage collector's own as the options want them, or as is the `default` of the kind."""
    kept = [one for one in meta.finalizers if one not in (ORPHAN, FOREGROUND)]
    if default != "keep" and _orphans(meta, options, default):
        kept.append(ORPHAN)
    if default != "keep" and _foreground(meta, options):
        kept.append(FOREGROUND)
    return meta.finalizers if set(kept) == set(meta.finalizers) else kept


class _Grace(Enum):
    NONE = 0
    SET = 1
    PENDING = 2


def _grace(obj: object, meta: ObjectMeta, options: DeleteOptions, kind: Kind[object], now: datetime) -> _Grace:
    if kind.graceful_seconds is None:
        return _Grace.NONE
    asked = 1 if options.gracePeriodSeconds is not None and options.gracePeriodSeconds < 0 else options.gracePeriodSeconds
    if meta.deletionGracePeriodSeconds is not None and meta.deletionGracePeriodSeconds < 0:
        meta.deletionGracePeriodSeconds = 1
    if meta.deletionTimestamp:
        if not meta.deletionGracePeriodSeconds:
            return _Grace.NONE
        if asked is None or asked >= meta.deletionGracePeriodSeconds:
            return _Grace.PENDING
        moved = meta.deletionTimestamp.moment() - timedelta(seconds=meta.deletionGracePeriodSeconds - asked)
        if moved < now:  # all of the new period is over already: whoever ends the object gets a second to do so
            moved, asked = now, min(asked, 1)
        meta.deletionTimestamp, meta.deletionGracePeriodSeconds = Time.of(moved), asked
        return _Grace.SET
    period = kind.graceful_seconds(obj, asked)
    if period is None:
        return _Grace.NONE
    _mark(meta, period, now)
    return _Grace.SET


def _mark(meta: ObjectMeta, period: int, now: datetime) -> None:
    if not meta.deletionTimestamp:
        if meta.generation > 0:
            meta.generation += 1
        meta.deletionTimestamp = Time.of(now + timedelta(seconds=period))
    meta.deletionGracePeriodSeconds = period


def decide(obj: object, meta: ObjectMeta, options: DeleteOptions, kind: Kind[object], now: datetime) -> Verdict:
    """What happens to `obj`; `meta` (its metadata) is changed in place where the verdict says so."""
    grace = _grace(obj, meta, options, kind, now)
    if grace is _Grace.PENDING:
        return Verdict(Step.PENDING)
    meta.finalizers = finalizers_for(meta, options, kind.dependents)
    if grace is _Grace.NONE:
        if not meta.finalizers:
            return Verdict(Step.NOW)
        _mark(meta, 0, now)
        return Verdict(Step.MARK)
    seconds = meta.deletionGracePeriodSeconds or 0
    return Verdict(Step.MARK if meta.finalizers or seconds > 0 else Step.MARK_AND_GO, seconds)


def gone_after_update(meta: ObjectMeta, was: ObjectMeta) -> bool:
    """Whether an update took away the last thing that kept an object under deletion."""
    return bool(was.deletionTimestamp) and not meta.finalizers and not meta.deletionGracePeriodSeconds
