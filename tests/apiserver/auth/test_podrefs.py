from __future__ import annotations

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.apiserver.auth.podrefs import config_maps_of, refs_of, secrets_of

POD = codec.convert(Pod, {"metadata": {"name": "p"}, "spec": {
    "serviceAccountName": "sa", "imagePullSecrets": [{"name": "pull"}],
    "containers": [{"name": "c", "envFrom": [{"secretRef": {"name": "from"}}, {"configMapRef": {"name": "m1"}}]}],
    "initContainers": [{"name": "i", "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m2", "key": "k"}}}]}],
    "volumes": [{"name": "s", "secret": {"secretName": "vol"}}, {"name": "m", "configMap": {"name": "m3"}},
                {"name": "csi", "csi": {"driver": "d", "nodePublishSecretRef": {"name": "publish"}}},
                {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}}, {"name": "e", "ephemeral": {}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "deep"}}, {"configMap": {"name": "m4"}}]}}],
    "resourceClaims": [{"name": "r", "resourceClaimName": "gpu"}]},
    "status": {"resourceClaimStatuses": [{"name": "t", "resourceClaimName": "made"}]}})


def test_every_name_is_found() -> None:
    refs = refs_of(POD)
    assert refs.secrets == {"pull", "from", "vol", "publish", "deep"}
    assert refs.config_maps == {"m1", "m2", "m3", "m4"}
    assert refs.claims == {"claim", "p-e"}
    assert refs.resource_claims == {"gpu", "made"}
    assert refs.service_account == "sa"


def test_a_mirror_pod_names_things_but_counts_for_nothing() -> None:
    mirror = codec.clone(POD)
    mirror.metadata.annotations = {"kubernetes.io/config.mirror": "x"}
    assert not any(refs_of(mirror))
    assert secrets_of(mirror)
    assert config_maps_of(mirror)
