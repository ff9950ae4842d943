"""What a definition's status says."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.crd.definitions import definition
from sampan.api import codec
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.scalars import Time
from sampan.apiserver.crd import names

NOW = Time("2026-01-01T00:00:00Z")


def crd(**more: Any) -> CustomResourceDefinition:
    return codec.convert(CustomResourceDefinition, definition(**more))  # type: ignore[no-any-return]


def said(status: Any) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in status.conditions}


def test_the_first_to_ask_has_its_names() -> None:
    first = crd()
    status = names.settled(first, [], NOW)
    assert (status.acceptedNames.plural, status.acceptedNames.kind, status.acceptedNames.listKind) == ("gears", "Gear", "GearList")
    assert said(status) == {"NamesAccepted": ("True", "NoConflicts"), "Established": ("True", "InitialNamesAccepted")}
    # asking again changes nothing
    first.status = status
    assert names.settled(first, [first], Time("2027-01-01T00:00:00Z")) == status


@pytest.mark.parametrize(("mine", "reason", "message"), [
    ({"plural": "wheels", "kind": "Gear"}, "ListKindConflict", '"GearList" is already in use'),
    ({"plural": "wheels", "kind": "Wheel", "short": ["gr"]}, "ShortNamesConflict", '"gr" is already in use'),
    ({"plural": "gear", "kind": "Wheel"}, "PluralConflict", '"gear" is already in use'),
])
def test_names_that_are_taken_are_not_given(mine: dict[str, Any], reason: str, message: str) -> None:
    other = crd()
    other.spec.names.shortNames = ["gr"]
    other.status = names.settled(other, [], NOW)
    asking = crd(plural=mine["plural"], kind=mine["kind"])
    asking.spec.names.shortNames = mine.get("short", [])
    status = names.settled(asking, [other], NOW)
    assert said(status) == {"NamesAccepted": ("False", reason), "Established": ("False", "NotAccepted")}
    assert status.conditions[0].message == message


@pytest.mark.parametrize(("note", "expected"), [
    ("", ("False", "MissingAnnotation")), ("unapproved, a test", ("False", "UnapprovedAnnotation")),
    ("https://example.com/1", ("True", "ApprovedAnnotation")), ("nonsense", ("False", "InvalidAnnotation"))])
def test_groups_of_the_community_need_an_approval(note: str, expected: tuple[str, str]) -> None:
    asking = crd()
    asking.spec.group = "example.k8s.io"
    asking.metadata.annotations = {"api-approved.kubernetes.io": note} if note else {}
    assert said(names.settled(asking, [], NOW))["KubernetesAPIApprovalPolicyConformant"] == expected


def test_deletion_begins_with_a_finalizer_and_a_word() -> None:
    going = crd()
    names.begin_deletion(going, NOW)
    assert going.metadata.finalizers == ["customresourcecleanup.apiextensions.k8s.io"]
    assert said(going.status) == {"Terminating": ("True", "InstanceDeletionPending")}
    assert names.failed("x").message == "could not issue all deletes: x"
