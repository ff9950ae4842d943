"""Texts that clients choose are read once, however long they are: what reads some part of them again and again would take minutes here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sampan.api import codec, quantity
from sampan.api.apps.v1 import DaemonSet
from sampan.api.cel.library.kubernetes import to_semver
from sampan.api.core.v1 import PodSpec, PodTemplateSpec, ResourceQuota, ResourceQuotaSpec
from sampan.api.errors import MOST_FINDINGS_BYTES, FieldError, Invalid
from sampan.kinds import checks
from sampan.kinds.apiextensions import formats
from sampan.kinds.apps import daemon_set
from sampan.kinds.batch import schedule
from sampan.kinds.core import resource_quota
from sampan.kinds.core.pod_spec import cloud_volumes, env, pod_spec_warnings, scheduling
from sampan.kinds.core.pod_spec.overlaps import MOST_WARNINGS, overlap_warnings

MANY = 300_000


def refused(read: Callable[[str], Any]) -> Callable[[str], Any]:
    def call(text: str) -> None:
        with pytest.raises(ValueError, match=r"^(quantities must match|unable to parse|failed to parse)"):
            read(text)

    return call


def other(form: str) -> Callable[[str], Any]:
    def call(text: str) -> None:
        assert not formats.CHECKS[form](text)

    return call


def found(judge: Callable[..., None], *more: Any) -> Callable[[str], Any]:
    def call(text: str) -> None:
        errors: list[Any] = []
        judge(errors, text, "at", *more)
        assert len(errors) == 1

    return call


@pytest.mark.parametrize(("read", "text"), [
    (refused(quantity.canonical), "0" * MANY + "!"), (refused(quantity.canonical), "1" * MANY + "."), (refused(quantity.canonical), "." + "0" * MANY + "e"),
    (refused(quantity.canonical), "E" * MANY + "1"),
    (refused(schedule.parse), "@every " + "1s" * MANY + "!"), (refused(schedule.parse), "@every " + "9" * MANY + "h"),
    (found(env._unusual_field, ()), "['" * MANY + "!"), (found(env._unusual_field, ()), "['" * MANY + "']"),
    (found(cloud_volumes._initiator, ""), "iqn.2000-01.a:" * MANY + " "),
    (other("duration"), "1" * MANY + "!"), (other("duration"), "1.5" * MANY), (other("email"), "a@" * MANY), (other("email"), "(" * 900),
], ids=lambda value: value[:24] if isinstance(value, str) else "")
def test_it_is_refused_at_once(read: Callable[[str], Any], text: str) -> None:
    read(text)


def test_many_items_are_looked_at_once_each() -> None:
    keyed = [{"key": f"k{index}", "path": f"a/{index}"} for index in range(20_000)]
    spread = [{"topologyKey": f"k{index}", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"} for index in range(20_000)]
    spec = codec.convert(PodSpec, {"containers": [], "topologySpreadConstraints": spread, "volumes": [
        {"name": "v", "secret": {"secretName": "s", "items": keyed}}, {"name": "w", "secret": {"secretName": "s", "items": [{"key": "k", "path": "a"}] * 20_000}}]})
    ports = [{"containerPort": 80, "hostPort": 1 + index % 60_000, "hostIP": "10.0.0.1" if index % 2 else ""} for index in range(20_000)]
    told = pod_spec_warnings(codec.convert(PodTemplateSpec, {"spec": {"containers": [{"name": "c", "image": "i", "ports": ports}]}}), "spec")
    assert told == []
    errors: list[FieldError] = []
    scheduling.spread_constraints(errors, spec.topologySpreadConstraints, "at")
    assert errors == []
    assert len(list(overlap_warnings(spec))) == MOST_WARNINGS


def test_findings_that_show_what_was_sent_do_not_grow_with_its_square() -> None:
    quota = ResourceQuota(spec=ResourceQuotaSpec(scopes=[f"scope-{index}" for index in range(50_000)]))
    refusal = Invalid.of("ResourceQuota", "", "q", resource_quota.KIND.validate(quota))
    assert len(refusal.message) < 4 * MOST_FINDINGS_BYTES
    assert len(refusal.details["causes"]) < 5


def test_long_numbers_are_read_as_far_as_go_reads_them() -> None:
    number = "1" * 5000
    assert checks.percent(f"{number}%") == 2**63 - 1
    assert to_semver(f"1.0.0-{number}") > to_semver("1.0.0-2")
    assert to_semver("1.0.0-10") > to_semver("1.0.0-9")
    obj = DaemonSet()
    obj.metadata.annotations = {daemon_set.TEMPLATE_GENERATION: number}
    assert daemon_set.template_generation(obj) == 0


def test_subscripts_of_fields_are_the_last_ones() -> None:
    errors: list[Any] = []
    for text in ("metadata.labels['a'['b!']", "metadata.labels['a'", "metadata.labels['a!']"):
        env._unusual_field(errors, text, "at", ())
    unsupported, unknown, *names = map(str, errors)
    assert unsupported.endswith("field label does not support subscript: metadata.labels['a'['b!']")
    assert unknown.endswith("field label not supported: metadata.labels['a'")
    assert [one.partition(": name part")[0] for one in names] == ['at: Invalid value: "a!"']
