"""Configuration files: what is read, and how refusals sound."""

from __future__ import annotations

import pytest

from sampan.api import field
from sampan.apiserver.configfile import ConfigFile, Headed
from sampan.lib.errors import ConfigError


class Boat(Headed, frozen=True):
    sails: int = 0


FILE = ConfigFile("boat configuration", Boat, "Boat", ("sea.example.com/v1", "sea.example.com/v1beta1"))


@pytest.mark.parametrize("text", [
    b"kind: Boat\napiVersion: sea.example.com/v1\nsails: 2", b'{"kind": "Boat", "apiVersion": "sea.example.com/v1beta1", "sails": 2}'])
def test_yaml_and_json_of_every_version_are_read(text: bytes) -> None:
    assert FILE.read(text, "boat.yaml").sails == 2


@pytest.mark.parametrize(("text", "why"), [
    (b"a: [", "the boat configuration boat.yaml can't be read: "),
    (b"kind: Boat\napiVersion: sea.example.com/v1\nmasts: 1", "the boat configuration boat.yaml can't be read: Object contains unknown field `masts`"),
    (b"kind: Boat\napiVersion: v1", 'the boat configuration boat.yaml is no Boat of sea.example.com/v1 but "Boat" of "v1"'),
    (b"kind: Ship\napiVersion: sea.example.com/v1", 'the boat configuration boat.yaml is no Boat of sea.example.com/v1 but "Ship" of "sea.example.com/v1"'),
])
def test_what_is_no_such_file_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        FILE.read(text, "boat.yaml")
    assert caught.value.message.startswith(why)


def test_all_findings_are_told_at_once() -> None:
    FILE.refuse("boat.yaml", [])
    with pytest.raises(ConfigError) as caught:
        FILE.refuse("boat.yaml", [field.required("sails"), field.invalid("kind", "x", "no")])
    assert caught.value.message == 'the boat configuration boat.yaml is invalid: [sails: Required value, kind: Invalid value: "x": no]'
