from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask
from apiserver.readers import MemoryReaders
from sampan.api.resources import INGRESS_CLASSES, INGRESSES
from sampan.apiserver.admission.default_ingress_class import DEFAULT, DefaultIngressClass


@pytest.mark.parametrize(("body", "wanted"), [
    ({"metadata": {"name": "i"}}, "b"),
    ({"metadata": {"name": "i"}, "spec": {"ingressClassName": "own"}}, "own"),
    ({"metadata": {"name": "i", "annotations": {"kubernetes.io/ingress.class": "old"}}}, None),
])
def test_an_ingress_gets_the_newest_default_class(body: dict[str, Any], wanted: str | None) -> None:
    readers = MemoryReaders()
    for name, made in (("a", "2026-01-01T00:00:00Z"), ("b", "2026-01-02T00:00:00Z")):
        readers.put(INGRESS_CLASSES, {"metadata": {"name": name, "creationTimestamp": made, "annotations": {DEFAULT: "true"}}})
    assert admit(DefaultIngressClass(readers), ask("CREATE", INGRESSES, body)).object.spec.ingressClassName == wanted


def test_without_a_default_it_gets_none() -> None:
    request = admit(DefaultIngressClass(MemoryReaders()), ask("CREATE", INGRESSES, {"metadata": {"name": "i"}}))
    assert request.object.spec.ingressClassName is None
