"""Laws that decoders, patches, quantities and the like keep whatever they are given."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from decimal import ROUND_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from fuzz.shapes import GOOD, OBJECTS, TREES, nearly, torn
from fuzz.world import CUSTOM, MAPS, SERVICES, World, bounded
from sampan.aio.clock import VirtualClock
from sampan.api import codec, fieldset, jsonsyntax, patch, protobuf, protowire, quantity, selectors, strict, yamlbody
from sampan.api.core.v1 import Pod, Service
from sampan.api.errors import ApiError, BadRequest
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from sampan.apiserver import fieldmanager
from sampan.apiserver.crd import jsonpath
from sampan.apiserver.listing import ContinueToken
from sampan.apiserver.options import WriteOptions
from sampan.lib.grpctable import Table

pytestmark = [pytest.mark.slow, pytest.mark.soak]


@pytest.fixture(scope="module")
def server() -> Iterator[World]:
    """Its time passes when a test says so."""
    made = World(clock=VirtualClock())
    yield made
    made.close()


ETCD, CRI = Table.load("sampan.store", "etcd.json"), Table.load("sampan.drivers.cri")


# ---- quantities ----------------------------------------------------------------------------------------------------

SUFFIXES = {"n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1), "k": Fraction(1000), "M": Fraction(10**6), "G": Fraction(10**9),
            "T": Fraction(10**12), "P": Fraction(10**15), "E": Fraction(10**18), **{f"{name}i": Fraction(1024**(power + 1)) for power, name in enumerate("KMGTPE")},
            "e3": Fraction(1000), "E-2": Fraction(1, 100), "e-12": Fraction(1, 10**12), "e+5": Fraction(10**5)}
NUMBERS = st.one_of(st.integers(-(10**12), 10**12).map(str), st.decimals(-(10**9), 10**9, places=3, allow_nan=False).map(lambda value: f"{value:f}"),
                    st.from_regex(r"[+-]?[0-9]{1,6}\.[0-9]{1,12}", fullmatch=True))


@bounded(300)
@given(NUMBERS, st.sampled_from(sorted(SUFFIXES)))
def test_a_quantity_is_what_exact_arithmetic_says_rounded_up_to_a_nano(number: str, suffix: str) -> None:
    exact = Fraction(number) * SUFFIXES[suffix] * 10**9
    assume(abs(exact) < Fraction(2**63) * 10**9)  # beyond, binary quantities are capped
    with localcontext() as context:
        context.prec = 100
        rounded = int((Decimal(abs(exact).numerator) / Decimal(abs(exact).denominator)).to_integral_value(ROUND_UP))
    assert quantity.nano(number + suffix) == (rounded if exact > 0 else -rounded)
    # and its canonical form is the same amount, and canonical
    shown = quantity.canonical(number + suffix)
    assert quantity.nano(shown) == quantity.nano(number + suffix)
    assert quantity.canonical(shown) == shown


# ---- decoders ------------------------------------------------------------------------------------------------------

@bounded(200)
@given(TREES)
def test_any_json_is_read_back_and_its_scanner_finds_nothing(value: Any) -> None:
    body = codec.encode(value)
    assert codec.loads(body) == value or "e" in repr(value)  # a float of an integer's value comes back as either
    assert jsonsyntax.explain(body) == ""


@bounded(200)
@given(st.one_of(st.binary(max_size=30), torn(b'{"a":[1,-2.5e3,"x\\u00e9\\n",true,null],"b":{"c":{}}}')))
def test_the_scanner_and_the_decoder_agree_on_what_is_json(body: bytes) -> None:
    try:
        codec.loads(body)
        good = True
    except (codec.DecodeError, UnicodeDecodeError):
        good = False
    if good:
        assert jsonsyntax.explain(body) == ""


@bounded(200)
@given(st.one_of(OBJECTS, nearly(GOOD["pods"])))
def test_yaml_and_json_of_one_object_are_the_same_object(value: dict[str, Any]) -> None:
    import yaml

    text = yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "surrogatepass")
    with contextlib.suppress(yamlbody.YAMLError):
        converted = codec.loads(yamlbody.to_json(text).body)
        assert isinstance(converted, dict)
        assert yamlbody.to_json(codec.encode(converted)).body == codec.encode(converted) or "\\" in text.decode("utf-8", "replace")


@bounded(150)
@given(st.one_of(nearly(GOOD["pods"]), nearly(GOOD["deployments"]), nearly(GOOD["configmaps"])), st.sampled_from([PODS, DEPLOYMENTS, CONFIG_MAPS]))
def test_what_the_walk_takes_decodes_to_itself(tree: dict[str, Any], resource: Any) -> None:
    try:
        decoded = strict.decode(resource, codec.encode(tree))
    except ApiError:
        return
    body = codec.encode(decoded.object)
    again = strict.decode(resource, body, validation="Strict")
    assert (codec.encode(again.object), again.problems) == (body, [])


def bare(value: Any) -> Any:
    """Without null and empty lists, which protobuf can't tell apart."""
    if isinstance(value, dict):
        return {key: bare(inner) for key, inner in value.items() if inner not in (None, [])}
    return [bare(inner) for inner in value] if isinstance(value, list) else value


@bounded(150)
@given(nearly(GOOD["services"]), nearly(GOOD["pods"]))
def test_protobuf_and_json_of_one_object_are_the_same_object(service: dict[str, Any], pod: dict[str, Any]) -> None:
    for wire, tree in ((Service, service), (Pod, pod)):
        try:
            obj = codec.convert(wire, tree)
        except codec.DecodeError:
            continue
        obj.kind, obj.apiVersion = wire.__name__, "v1"
        sent = protobuf.encode(obj)
        assert bare(codec.to_builtins(protobuf.decode_body(sent))) == bare(codec.to_builtins(obj))


@bounded(300)
@given(st.one_of(st.binary(max_size=60), torn(protobuf.encode(codec.convert(Pod, GOOD["pods"])))))
def test_bytes_that_are_no_protobuf_are_malformed(body: bytes) -> None:
    with contextlib.suppress(protowire.Malformed, KeyError):
        protobuf.decode_body(b"k8s\0" + body)
    with contextlib.suppress(protowire.Malformed, KeyError):
        protobuf.decode_body(body)


@bounded(150)
@given(st.binary(max_size=60))
def test_messages_of_etcd_and_cri_read_back_or_are_refused(body: bytes) -> None:
    from google.protobuf.message import DecodeError

    for table, name in ((ETCD, "etcdserverpb.RangeResponse"), (CRI, "runtime.v1.ContainerStatusResponse")):
        message = table.message(name)()
        try:
            message.ParseFromString(body)
        except DecodeError:
            continue
        again = type(message)()
        again.ParseFromString(message.SerializeToString())
        assert again.SerializeToString() == message.SerializeToString()


# ---- patches -------------------------------------------------------------------------------------------------------

def merged(target: Any, change: Any) -> Any:
    """RFC 7386, as its pseudocode has it."""
    if not isinstance(change, dict):
        return change
    out = dict(target) if isinstance(target, dict) else {}
    for name, value in change.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merged(out.get(name), value)
    return out


PLAIN = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
                     lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=1), inner, max_size=3), max_leaves=10)
NO_NULLS = PLAIN.filter(lambda tree: "None" not in repr(tree))
MAPPING = st.dictionaries(st.text("abc", max_size=1), PLAIN, max_size=3)


def without_nulls_in_lists(tree: Any) -> bool:
    """Go's library drops nulls of objects in lists, which the RFC keeps."""
    return not re.search(r"\[.*None", repr(tree))


@bounded(300)
@given(st.dictionaries(st.text("abc", max_size=1), NO_NULLS, max_size=3), MAPPING.filter(without_nulls_in_lists))
def test_a_merge_patch_is_that_of_the_rfc_and_does_nothing_the_second_time(target: dict[str, Any], change: dict[str, Any]) -> None:
    wanted = merged(target, change)
    once = patch.merge(codec.loads(codec.encode(target)), change)
    assert once == wanted
    assert patch.merge(codec.loads(codec.encode(once)), change) == once


@bounded(200)
@given(st.dictionaries(st.text("abc", min_size=1, max_size=1), NO_NULLS, min_size=1, max_size=3), NO_NULLS)
def test_a_json_patch_that_tests_what_is_there_passes_and_undoes_itself(target: dict[str, Any], value: Any) -> None:
    key = min(target)
    operations = [{"op": "test", "path": f"/{key}", "value": target[key]}, {"op": "add", "path": "/new", "value": value},
                  {"op": "test", "path": "/new", "value": value}, {"op": "move", "from": "/new", "path": "/other"}, {"op": "remove", "path": "/other"}]
    parsed = patch.parse(patch.JSON, codec.encode(operations), None)
    assert parsed.apply(codec.loads(codec.encode(target))) == target


@pytest.mark.parametrize(("plural", "path"), [("configmaps", MAPS), ("services", SERVICES), ("widgets", CUSTOM)])
def test_applying_twice_changes_nothing_and_giving_up_takes_all_away(server: World, plural: str, path: str) -> None:
    kind: dict[str, str | bytes] = {"content-type": "application/apply-patch+yaml"}

    @bounded(40)
    @given(nearly(GOOD[plural]))
    @example(GOOD[plural] | {"metadata": {"labels": {}}})
    @example(GOOD[plural] | {"metadata": {"labels": {"x": None}}})
    def check(tree: dict[str, Any]) -> None:
        tree["metadata"] = {"name": "applied"} | ({"labels": tree["metadata"].get("labels")} if isinstance(tree.get("metadata"), dict) else {})
        tree["kind"], tree["apiVersion"] = GOOD[plural]["kind"], GOOD[plural]["apiVersion"]
        first = server.ask("PATCH", f"{path}/applied?fieldManager=one&force=true", codec.encode(tree), kind)
        if first.code not in (200, 201):
            return
        # when the same is applied again, later
        server.pass_seconds(2)
        second = server.ask("PATCH", f"{path}/applied?fieldManager=one&force=true", codec.encode(tree), kind)
        # then it is the same object at the same revision
        assert (second.code, second.body) == (200, first.body)
        # and its field sets read back as themselves
        for entry in first.value["metadata"].get("managedFields", ()):  # who says nothing owns nothing
            fields = fieldset.decode(codec.encode(entry["fieldsV1"]))
            assert codec.loads(fieldset.encode(fields)) == entry["fieldsV1"]
        assert server.ask("DELETE", f"{path}/applied").code == 200

    check()


# ---- texts with a grammar ------------------------------------------------------------------------------------------

LABEL = st.from_regex(r"[a-z]([a-z0-9]{0,3}/[a-z]{1,3})?", fullmatch=True)
LABELS = st.dictionaries(LABEL, st.from_regex(r"[a-z0-9]{0,2}", fullmatch=True), max_size=4)


@bounded(300)
@given(st.text("ab=!,() innotexists<>0", max_size=25), LABELS)
def test_a_label_selector_is_refused_or_selects_as_its_own_text_does(text: str, labels: dict[str, str]) -> None:
    try:
        selector = selectors.parse_labels(text)
    except ValueError:
        return
    again = selectors.parse_labels(str(selector))
    assert again.matches(labels) == selector.matches(labels)


@bounded(200)
@given(LABELS, LABELS)
def test_a_selector_of_labels_matches_those_that_have_them_all(wanted: dict[str, str], labels: dict[str, str]) -> None:
    text = ",".join(f"{key}={value}" for key, value in wanted.items())
    assert selectors.parse_labels(text).matches(labels) == (wanted.items() <= labels.items())


@bounded(200)
@given(st.text("ab=!,\\. ", max_size=20))
def test_a_field_selector_is_refused_or_read(text: str) -> None:
    with contextlib.suppress(ValueError):
        selectors.parse_fields(text)


@bounded(200)
@given(st.text(max_size=30), st.integers(0, 2**63))
def test_a_continue_token_reads_back_and_any_other_text_is_refused(start: str, revision: int) -> None:
    with contextlib.suppress(BadRequest, UnicodeEncodeError):
        token = ContinueToken(start, revision)
        # a slash before it means nothing
        assert ContinueToken.decode(token.encode()) == token._replace(start=start.removeprefix("/"))
    with contextlib.suppress(ApiError):
        ContinueToken.decode(start)


@bounded(300)
@given(st.text(".[]'\"*?()@=<>0123ab:-\\ $", max_size=20), TREES)
def test_a_json_path_is_refused_or_leads_somewhere(text: str, tree: Any) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(jsonpath.compile_path(text)(tree), list)


@bounded(150)
@given(st.one_of(nearly(GOOD["pods"]), nearly(GOOD["widgets"]), OBJECTS))
def test_json_that_is_applied_is_read_as_the_yaml_that_it_is(tree: dict[str, Any]) -> None:
    body = codec.encode(tree)
    try:
        slow = codec.loads(yamlbody.to_json(body).body)
    except yamlbody.YAMLError:
        return  # keys that JSON has and this YAML has not
    assert fieldmanager.FieldManager().parse(None, body, WriteOptions(), []) == slow  # type: ignore[arg-type]
