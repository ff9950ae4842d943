"""Who owns the claims of a StatefulSet."""

from __future__ import annotations

import pytest

from sampan.api.apps.v1 import StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy
from sampan.api.core.v1 import PersistentVolumeClaim
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.controllers.statefulset.claims import claim_names, claim_owners, has_other_controller, is_of_another

BOSS = OwnerReference(apiVersion="v1", kind="ConfigMap", name="boss", uid="b", controller=True)
FRIEND = OwnerReference(apiVersion="v1", kind="ConfigMap", name="friend", uid="f")
SET = OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="s", controller=True, blockOwnerDeletion=True)
OLD_SET = OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="before", controller=True)
POD = OwnerReference(apiVersion="v1", kind="Pod", name="web-0", uid="p", controller=True, blockOwnerDeletion=True)
OLD_POD = OwnerReference(apiVersion="v1", kind="Pod", name="web-0", uid="before", controller=True)
PLAIN_SET = OwnerReference(apiVersion="apps/v1", kind="StatefulSet", name="web", uid="s")


def a_set(deleted: str = "Retain", scaled: str = "Retain") -> StatefulSet:
    sts = StatefulSet(metadata=ObjectMeta(name="web", namespace="default", uid="s"))
    sts.spec.persistentVolumeClaimRetentionPolicy = StatefulSetPersistentVolumeClaimRetentionPolicy(whenDeleted=deleted, whenScaled=scaled)
    return sts


def a_claim(*owners: OwnerReference) -> PersistentVolumeClaim:
    return PersistentVolumeClaim(metadata=ObjectMeta(name="data-web-0", ownerReferences=list(owners)))


@pytest.mark.parametrize(("deleted", "scaled", "condemned", "now", "wanted"), [
    ("Retain", "Retain", False, [SET, POD, FRIEND], [FRIEND]),
    ("Delete", "Retain", False, [FRIEND], [FRIEND, SET]),
    ("Delete", "Retain", True, [POD], [SET]),
    ("Retain", "Delete", True, [], [POD]),
    ("Retain", "Delete", False, [POD], []),
    ("Delete", "Delete", True, [SET], [POD]),
    ("Delete", "Delete", False, [POD], [SET]),
    # right as it is: the order of owners is no reason to write
    ("Delete", "Retain", False, [SET, FRIEND], [SET, FRIEND]),
    # one that does not manage it is made to
    ("Delete", "Retain", False, [PLAIN_SET], [SET]),
    # an owner of before is gone, and the claim goes with it
    ("Delete", "Retain", False, [OLD_SET], [OLD_SET]),
    ("Retain", "Delete", True, [OLD_POD], [OLD_POD]),
    # what something else manages stays as it is, but is not owned twice
    ("Delete", "Delete", False, [BOSS], [BOSS]),
    ("Delete", "Delete", False, [BOSS, SET], [BOSS]),
])
def test_the_owners_that_the_policy_wants(deleted: str, scaled: str, condemned: bool, now: list[OwnerReference], wanted: list[OwnerReference]) -> None:
    assert claim_owners(a_set(deleted, scaled), a_claim(*now), "web-0", "p", condemned=condemned) == wanted


def test_a_claim_of_an_earlier_pod_is_told_from_one_of_this() -> None:
    assert is_of_another(a_claim(OLD_POD), "web-0", "")
    assert is_of_another(a_claim(OLD_POD), "web-0", "p")
    assert not is_of_another(a_claim(POD), "web-0", "p")
    assert not is_of_another(a_claim(BOSS), "web-0", "")


def test_another_controller_is_in_the_way_of_a_policy_only() -> None:
    assert has_other_controller(a_set("Delete"), a_claim(BOSS), "web-0", "p")
    assert not has_other_controller(a_set(), a_claim(BOSS), "web-0", "p")
    assert not has_other_controller(a_set("Delete"), a_claim(SET, POD, FRIEND), "web-0", "p")


def test_a_claim_is_named_after_volume_set_and_ordinal() -> None:
    # given
    sts = a_set()
    sts.spec.volumeClaimTemplates = [PersistentVolumeClaim(metadata=ObjectMeta(name="data"))]
    # then
    assert claim_names(sts, 3) == {"data": "data-web-3"}
