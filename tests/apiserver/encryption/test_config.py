"""Encryption configurations: whose resources have which keys, and what is refused."""

from __future__ import annotations

import base64

import pytest

from sampan.api import codec
from sampan.apiserver.encryption.ciphers import PLAIN
from sampan.apiserver.encryption.config import load
from sampan.lib.errors import ConfigError

GOOD = {"aesgcm": {"keys": [{"name": "k", "secret": base64.b64encode(b"x" * 32).decode()}]}}


def text(*resources: tuple[list[str], list[object]]) -> bytes:
    return codec.encode({"kind": "EncryptionConfiguration", "apiVersion": "apiserver.config.k8s.io/v1",
                         "resources": [{"resources": names, "providers": providers} for names, providers in resources]})


@pytest.mark.parametrize(("names", "key", "sealed"), [
    (["secrets"], "/registry/core/secrets/default/a", True), (["secrets"], "/registry/core/configmaps/default/a", False),
    (["*."], "/registry/core/configmaps/default/a", True), (["*."], "/registry/apps/deployments/default/a", False),
    (["*.apps"], "/registry/apps/deployments/default/a", True), (["pandas.bears.example"], "/registry/bears.example/pandas/a", True),
    (["*.*"], "/registry/bears.example/pandas/a", True), (["deployments.apps"], "/registry/apps/daemonsets/x/y", False),
])
def test_resources_are_named_by_plural_and_group_with_wildcards(names: list[str], key: str, sealed: bool) -> None:
    assert (load(text((names, [GOOD])), "f").of(key) is not PLAIN) is sealed


def test_the_narrower_rule_comes_first() -> None:
    encryption = load(text((["secrets"], [{"identity": {}}]), (["*."], [GOOD])), "f")
    assert encryption.of("/registry/core/secrets/a/b").seal(b"x", "k") == b"x"
    assert encryption.of("/registry/core/configmaps/a/b").seal(b"x", "k").startswith(b"k8s:enc:aesgcm:v1:k:")
    with pytest.raises(ConfigError, match='resource "secrets" is masked by earlier rule'):
        load(text((["*."], [GOOD]), (["secrets"], [GOOD])), "f")


@pytest.mark.parametrize(("written", "why"), [
    (b"a: [", "can't be read"), (b"kind: Pod", "is no EncryptionConfiguration"), (text(), "resources: Required value"),
    (text(([], [GOOD])), "resources[0].resources: Required value"), (text((["secrets"], [])), "resources[0].providers: Required value"),
    (text((["secrets", "*."], [GOOD])), "will be masked"), (text((["secrets", "secrets"], [GOOD])), "multiple times"),
    (text((["*"], [GOOD])), "use '*.'"), (text((["Secrets"], [GOOD])), "capital letters"), (text((["secrets.*"], [GOOD])), "across groups"),
    (text((["secrets"], [{}])), "does not contain any of the expected providers"),
    (text((["secrets"], [GOOD | {"identity": {}}])), "more than one provider"),
    (text((["secrets"], [{"aesgcm": {"keys": []}}])), "at least one keys is required"),
    (text((["secrets"], [{"aesgcm": {"keys": [{"name": "k", "secret": "c2hvcnQ="}]}}])), "got 5, expected one of [16 24 32]"),
    (text((["secrets"], [{"aesgcm": {"keys": [{"name": "k", "secret": "%"}]}}])), "must be base64 encoded"),
    (text((["secrets"], [{"aesgcm": {"keys": [{"secret": "c2hvcnQ="}]}}])), "name is a mandatory field for a key"),
    (text((["secrets"], [{"kms": {"name": "x"}}])), "use aesgcm"), (text((["secrets"], [{"secretbox": {}}])), "use aesgcm"),
])
def test_a_configuration_that_can_not_be_is_refused(written: bytes, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written, "enc.yaml")
    assert why in caught.value.message
    assert "enc.yaml" in caught.value.message
    assert "c2hvcnQ" not in caught.value.message
