"""Ingresses and their classes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from kinds.core.making import changed, created, findings
from sampan.api.resources import INGRESS_CLASSES, INGRESSES
from sampan.kinds.networking import ingress


def one_path(**path: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, "spec": {"rules": [{"http": {"paths": [path]}}]}}


def test_an_ingress_needs_a_backend_or_rules() -> None:
    assert findings(INGRESSES, {"metadata": {"name": "a"}, "spec": {}}) == [
        "spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]


def test_paths_and_backends_say_what_is_wrong_with_them() -> None:
    at = "spec.rules[0].http.paths[0]"
    assert findings(INGRESSES, one_path(path="rel", pathType="Exact", backend={})) == [
        f'{at}.path: Invalid value: "rel": must be an absolute path',
        f'{at}.backend: Invalid value: "": resource or service backend is required']
    assert findings(INGRESSES, one_path(path="/a//b", pathType="Prefix", backend={"service": {"name": "s"}})) == [
        f"{at}.path: Invalid value: \"/a//b\": must not contain '//'",
        f"{at}.backend: Required value: port name or number is required"]
    assert findings(INGRESSES, one_path(backend={})) == [f"{at}.pathType: Required value: pathType must be specified"]


def test_hosts_are_names() -> None:
    found = findings(INGRESSES, {"metadata": {"name": "a"}, "spec": {"rules": [{"host": "1.2.3.4"}, {"host": "*.*.x"}]}})
    assert found[0] == 'spec.rules[0].host: Invalid value: "1.2.3.4": must be a DNS name, not an IP address'
    assert found[1].startswith('spec.rules[1].host: Invalid value: "*.*.x": a wildcard DNS-1123 subdomain')


def test_the_old_annotation_warns_and_must_agree() -> None:
    body = {"metadata": {"name": "a", "annotations": {"kubernetes.io/ingress.class": "old"}},
            "spec": {"ingressClassName": "new", "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}
    assert findings(INGRESSES, body) == [
        'annotations.kubernetes.io/ingress.class: Invalid value: "old": must match `ingressClassName` when both are specified']
    assert ingress.KIND.warnings(created(INGRESSES, body), None) == [
        "annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"]


def test_a_class_has_a_controller_that_stays() -> None:
    body = {"metadata": {"name": "c"}, "spec": {"controller": "example.com/c", "parameters": {"kind": "K", "name": "n"}}}
    old = created(INGRESS_CLASSES, body)
    assert old.spec.parameters.scope == "Cluster"
    assert changed(INGRESS_CLASSES, old, {"spec": {"controller": "example.com/d"}})[1] == [
        'spec.controller: Invalid value: "example.com/d": field is immutable']
    assert findings(INGRESS_CLASSES, {"metadata": {"name": "c"}, "spec": {"controller": "nodomain"}}) == [
        'spec.controller: Invalid value: "nodomain": must be a domain-prefixed path (such as "acme.io/foo")']


def test_an_ingress_is_printed_with_its_hosts_and_ports() -> None:
    rules = [{"host": f"{letter}.example.com"} for letter in "abcd"]
    obj = created(INGRESSES, {"metadata": {"name": "i"}, "spec": {"rules": rules, "tls": [{}], "ingressClassName": "z"}})
    cells = {one.name: one.value(obj, datetime(2026, 1, 1, tzinfo=UTC)) for one in ingress.KIND.columns}
    assert (cells["Class"], cells["Hosts"], cells["Ports"]) == (
        "z", "a.example.com,b.example.com,c.example.com + 1 more...", "80, 443")
