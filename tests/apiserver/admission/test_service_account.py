from __future__ import annotations

import random
from typing import Any

import pytest

from apiserver.admitting import admit, ask, container, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api import codec
from sampan.api.errors import OtherStatus
from sampan.api.resources import PODS, SERVICE_ACCOUNTS
from sampan.apiserver.admission.service_account import MOUNT_PATH, ServiceAccount
from sampan.lib.clock import Identity


@pytest.fixture
def readers() -> MemoryReaders:
    readers = MemoryReaders()
    readers.put(SERVICE_ACCOUNTS, {"metadata": {"name": "default"}, "imagePullSecrets": [{"name": "pull"}]}, "a")
    readers.put(SERVICE_ACCOUNTS, {"metadata": {"name": "quiet"}, "automountServiceAccountToken": False}, "a")
    return readers


@pytest.fixture
def plugin(readers: MemoryReaders) -> ServiceAccount:
    return ServiceAccount(readers, Identity(random.Random(7)))


def _spec(plugin: ServiceAccount, body: dict[str, Any]) -> dict[str, Any]:
    return codec.to_builtins(admit(plugin, ask("CREATE", PODS, body)).object.spec)


def test_a_pod_gets_its_account_its_token_and_its_pull_secrets(plugin: ServiceAccount) -> None:
    spec = _spec(plugin, pod(initContainers=[{"name": "i"}]))
    assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    volume = spec["volumes"][0]
    assert volume == {"name": volume["name"], "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}}]}}
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    mount = [{"mountPath": MOUNT_PATH, "name": volume["name"], "readOnly": True}]
    assert spec["containers"][0]["volumeMounts"] == mount
    assert spec["initContainers"][0]["volumeMounts"] == mount


@pytest.mark.parametrize("body", [
    pod(serviceAccountName="quiet"), pod(automountServiceAccountToken=False),
    pod(**container(volumeMounts=[{"name": "own", "mountPath": MOUNT_PATH}])),
])
def test_who_does_not_want_a_token_gets_none(plugin: ServiceAccount, body: dict[str, Any]) -> None:
    assert "volumes" not in _spec(plugin, body)


def test_the_pods_wish_goes_before_the_accounts(plugin: ServiceAccount) -> None:
    assert "volumes" in _spec(plugin, pod(serviceAccountName="quiet", automountServiceAccountToken=True))


def test_a_missing_account_is_told(plugin: ServiceAccount) -> None:
    assert refusal(plugin, ask("CREATE", PODS, pod(), namespace="b")) == (
        'pods "web" is forbidden: error looking up service account b/default: serviceaccount "default" not found')
    assert refusal(plugin, ask("CREATE", PODS, pod(serviceAccountName="a/b"), namespace="b")) == (
        'pods "web" is forbidden: error looking up service account b/a/b: invalid resource name "a/b": [may not contain \'/\']')
    generated = pod("web-x7k2p", metadata={"generateName": "web-"})
    assert refusal(plugin, ask("CREATE", PODS, generated, namespace="b")).startswith('pods "web-" is forbidden: ')


MIRROR = {"annotations": {"kubernetes.io/config.mirror": "x"}}


@pytest.mark.parametrize(("body", "why"), [
    (pod(metadata=MIRROR, serviceAccountName="default"), "a mirror pod may not reference service accounts"),
    (pod(metadata=MIRROR, volumes=[{"name": "v", "secret": {"secretName": "s"}}]), "a mirror pod may not reference secrets"),
    (pod(metadata=MIRROR, volumes=[{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]),
     "a mirror pod may not use ServiceAccountToken volume projections"),
])
def test_a_mirror_pod_has_no_secrets(plugin: ServiceAccount, body: dict[str, Any], why: str) -> None:
    assert refusal(plugin, ask("CREATE", PODS, body)) == f'pods "web" is forbidden: {why}'
    assert "serviceAccountName" not in _spec(plugin, pod(metadata=MIRROR))


@pytest.mark.parametrize(("spec", "why"), [
    ({"volumes": [{"name": "v", "secret": {"secretName": "bad"}}]},
     'volume with secret.secretName="bad" is not allowed because service account strict does not reference that secret'),
    (container(env=[{"name": "E", "valueFrom": {"secretKeyRef": {"name": "bad", "key": "k"}}}]),
     'container c with envVar E referencing secret.secretName="bad" is not allowed because service account strict does not '
     "reference that secret"),
    ({"imagePullSecrets": [{"name": "bad"}]},
     'imagePullSecrets[0].name="bad" is not allowed because service account strict does not reference that imagePullSecret'),
])
def test_an_account_may_list_what_its_pods_mount(readers: MemoryReaders, plugin: ServiceAccount, spec: dict[str, Any], why: str) -> None:
    readers.put(SERVICE_ACCOUNTS, {"metadata": {
        "name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}, "secrets": [{"name": "good"}]}, "a")
    good = [{"name": "v", "secret": {"secretName": "good"}}]
    admit(plugin, ask("CREATE", PODS, pod(serviceAccountName="strict", volumes=good)))
    assert refusal(plugin, ask("CREATE", PODS, pod(serviceAccountName="strict", **spec))) == f'pods "web" is forbidden: {why}'


def test_an_ephemeral_container_needs_an_account_that_lists_its_secrets(readers: MemoryReaders, plugin: ServiceAccount) -> None:
    env = [{"name": "E", "valueFrom": {"secretKeyRef": {"name": "bad", "key": "k"}}}]
    debug = pod(serviceAccountName="strict", ephemeralContainers=[{"name": "d", "env": env}])
    request = ask("UPDATE", PODS, debug, pod(serviceAccountName="strict"), subresource="ephemeralcontainers")
    assert refusal(plugin, request) == (
        'pods "web" is forbidden: error looking up service account a/strict: serviceaccount "strict" not found')
    readers.put(SERVICE_ACCOUNTS, {"metadata": {"name": "strict", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}}}, "a")
    assert refusal(plugin, request, OtherStatus) == (
        'ephemeral container d with envVar E referencing secret.secretName="bad" is not allowed because service account strict does '
        "not reference that secret")
