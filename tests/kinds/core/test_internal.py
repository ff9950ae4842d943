"""Objects as upstream's messages about changes show them."""

from __future__ import annotations

from sampan.api import codec
from sampan.api.core import v1
from sampan.api.core.v1 import PersistentVolumeClaimSpec, PodSpec
from sampan.api.networking import v1 as networking
from sampan.api.rbac import v1 as rbac
from sampan.api.resource import v1 as resource
from sampan.kinds.core.internal import difference, internal
from sampan.kinds.core.internal_names import FIELDS

OTHERS = (networking, rbac, resource)


def test_a_pods_host_namespaces_are_part_of_its_security_context() -> None:
    shown = internal(codec.convert(PodSpec, {"containers": [{"name": "c"}], "hostNetwork": True, "securityContext": {"fsGroup": 7}}))
    context = shown["SecurityContext"]
    assert (context["HostNetwork"], context["FSGroup"], list(context)[:3]) == (True, 7, ["HostNetwork", "HostPID", "HostIPC"])
    assert "HostNetwork" not in shown
    assert internal(PodSpec())["SecurityContext"]["HostUsers"] is None


def test_fields_have_upstreams_names_and_order() -> None:
    container = internal(codec.convert(PodSpec, {"containers": [{"name": "c", "tty": True}]}))["Containers"][0]
    assert list(container)[5:8] == ["Ports", "EnvFrom", "Env"]
    assert (container["TTY"], list(container)[-1]) == (True, "TTY")


def test_every_name_is_that_of_a_field() -> None:
    for name in FIELDS:
        wire = next(getattr(group, name) for group in (v1, *OTHERS) if hasattr(group, name))
        shown = internal(wire())
        words = [word for word in FIELDS[name].split() if not word.startswith("*")]  # what is embedded has fields of its own
        assert shown.keys() >= {word.partition("=")[0] for word in words}


def test_a_difference_has_three_lines_around_each_change() -> None:
    old, new = (codec.convert(PersistentVolumeClaimSpec, {"accessModes": [mode]}) for mode in ("ReadWriteOnce", "ReadWriteMany"))
    assert difference(old, new) == (
        '@@ -1,6 +1,6 @@\n {\n  "AccessModes": [\n-  "ReadWriteOnce"\n+  "ReadWriteMany"\n  ],\n  "Selector": null,\n  "Resources": {\n')


def test_what_go_escapes_is_escaped_and_embedded_metadata_stands_among_the_rest() -> None:
    template = codec.convert(v1.PersistentVolumeClaimTemplate, {"metadata": {"labels": {"b": "2", "a": "1"}}, "spec": {}})
    assert list(internal(template))[:2] == ["labels", "Spec"]
    assert list(internal(template)["labels"]) == ["a", "b"]
    old, new = (codec.convert(PersistentVolumeClaimSpec, {"volumeName": name}) for name in ("<a>", "&"))
    assert '-  "VolumeName"' not in difference(old, new)
    assert '- "VolumeName": "\\u003ca\\u003e",\n+ "VolumeName": "\\u0026",' in difference(old, new)
