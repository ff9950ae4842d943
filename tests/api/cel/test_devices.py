"""Selectors of devices: what they see, what is no selector, what has no answer."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.cel.devices import compile_selector, variables
from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.resource.v1 import Device

DEVICE = codec.convert(Device, {
    "name": "gpu-0", "allowMultipleAllocations": True, "capacity": {"memory": {"value": "40Gi"}, "other.example.com/lanes": {"value": "16"}},
    "attributes": {"model": {"string": "large"}, "numa": {"int": 1}, "v": {"version": "1.10.0"}, "ok": {"bool": True},
                   "other.example.com/model": {"string": "theirs"}}})


def value(text: str) -> Any:
    compiled = compile_selector(text)
    assert compiled.program is not None, compiled.problem
    return compiled.program.evaluate(variables("d.example.com", DEVICE))


@pytest.mark.parametrize(("text", "wanted"), [
    ('device.driver == "d.example.com"', True),
    ('device.attributes["d.example.com"].model == "large" && device.attributes["d.example.com"].numa in [0, 1]', True),
    ('device.attributes["other.example.com"].model == "theirs" && "d.example.com" in device.attributes', True),
    ('device.attributes["d.example.com"]["model"].startsWith("la") ? true : false', True),
    ('"model" in device.attributes["nobody"] || "nobody" in device.attributes', False),
    ('has(device.attributes["nobody"].model)', False),
    ('device.attributes["nobody"].model == "x" || device.driver.endsWith(".com")', True),
    ('device.driver == "no" && device.attributes["nobody"].model == "x"', False),
    ('device.capacity["d.example.com"].memory.compareTo(quantity("40Gi")) >= 0', True),
    ('device.capacity["d.example.com"].memory.isGreaterThan(quantity("40Gi"))', False),
    ('device.capacity["other.example.com"].lanes.isLessThan(quantity("17"))', True),
    ('device.attributes["d.example.com"].v.isGreaterThan(semver("1.9.9"))', True),
    ('semver("1.0.0-alpha.2").isLessThan(semver("1.0.0"))', True),
    ('cel.bind(d, device.attributes["d.example.com"], d.numa * 2 + 1 == 3 && d.ok)', True),
    ("[1, 2, 3].exists(x, x > 2) && [1, 2].all(x, x > 0) && size('abc') == 3", True),
    ('device.attributes["d.example.com"].ok', True),
    ('device.driver.matches("^d[.]") && device.allowMultipleAllocations', True),
])
def test_a_selector_has_a_value(text: str, wanted: bool) -> None:
    assert value(text) is wanted


@pytest.mark.parametrize(("text", "words"), [
    ('device.attributes["nobody"].model == "x"', "no such key: model"),
    ('device.capacity["d.example.com"].lanes.isGreaterThan(quantity("1"))', "no such key: lanes"),
    ('device.attributes["d.example.com"].numa / 0 == 1', "division by zero"),
])
def test_a_selector_without_a_value_is_an_error(text: str, words: str) -> None:
    with pytest.raises(CelError, match=words):
        value(text)


@pytest.mark.parametrize(("text", "words"), [
    ("1", "must evaluate to bool or the unknown type, not int"),
    ("device.driver", "must evaluate to bool or the unknown type, not string"),
    ("device.nothing == 1", "undefined field 'nothing'"),
    ("nope(1)", "undeclared reference to 'nope'"),
    ("?!", "Syntax error"),
    ("", "Syntax error"),
    ("(" * 500, "Syntax error|recursion"),
])
def test_what_is_no_selector_is_refused_with_its_reason(text: str, words: str) -> None:
    compiled = compile_selector(text)
    assert compiled.program is None
    import re
    assert re.search(words, compiled.problem)


def test_a_selector_that_costs_too_much_is_stopped() -> None:
    many = "[" + ", ".join("1" for _ in range(200)) + "]"
    with pytest.raises(CostExceeded):
        value(f"{many}.all(x, {many}.all(y, {many}.all(z, x + y + z > 0)))")
