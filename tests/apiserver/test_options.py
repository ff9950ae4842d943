"""The options of writes, lists and deletions."""

from __future__ import annotations

import pytest

from sampan.api.errors import BadRequest, Invalid
from sampan.apiserver.options import (
    boolean,
    check_timeout,
    default_manager,
    delete_options,
    integer,
    list_options,
    write_options,
)
from sampan.apiserver.parse import parse, parse_query
from sampan.apiserver.request import RequestInfo


def request(query: str = "", **headers: str) -> RequestInfo:
    return parse("GET", "/api/v1/pods", parse_query(query.encode()), {key.replace("_", "-"): value for key, value in headers.items()})


def findings(error: pytest.ExceptionInfo[Invalid]) -> list[tuple[str, str]]:
    return [(one.field, one.reason) for one in error.value.errors]


def test_numbers_are_read_as_go_reads_them() -> None:
    assert integer(parse_query(b"limit=5"), "limit") == 5
    assert integer(parse_query(b""), "limit") is None
    for text in ("", "x", "5.0", "\u0665"):
        with pytest.raises(BadRequest, match=r"strconv\.ParseInt: parsing .* invalid syntax"):
            integer({"limit": [text]}, "limit")
    for text in (str(2**63), "-" + str(2**63 + 1), "1" * 5000):
        with pytest.raises(BadRequest, match="value out of range"):
            integer({"limit": [text]}, "limit")
    assert [integer({"limit": [text]}, "limit") for text in ("+" + "0" * 5000 + "7", str(-2**63), "-0")] == [7, -2**63, 0]


def test_booleans_are_true_unless_they_say_no() -> None:
    assert [boolean({"x": [text]}, "x") for text in ("true", "", "maybe", "false", "False", "0")] == [True, True, True, False, False, False]


def test_the_manager_is_the_start_of_the_user_agent() -> None:
    assert default_manager(request(user_agent="kubectl/v1.36 (linux)")) == "kubectl"
    assert default_manager(request()) == "unknown"


def test_only_an_apply_may_be_forced_and_it_needs_a_manager() -> None:
    with pytest.raises(Invalid) as refused:
        write_options(request("force=true"), "PatchOptions")
    assert findings(refused) == [("force", "FieldValueForbidden")]
    with pytest.raises(Invalid) as refused:
        write_options(request(content_type="application/apply-patch+yaml"), "PatchOptions")
    assert findings(refused) == [("fieldManager", "FieldValueRequired")]
    options = write_options(request("force=true&fieldManager=me&dryRun=All", content_type="application/apply-patch+yaml"), "PatchOptions")
    assert (options.force, options.manager, options.dry_run) == (True, "me", True)


def test_lists_refuse_versions_that_contradict_themselves() -> None:
    with pytest.raises(Invalid) as refused:
        list_options(request("resourceVersionMatch=Exact&continue=x&sendInitialEvents=true"))
    assert findings(refused) == [("resourceVersionMatch", "FieldValueForbidden"), ("resourceVersionMatch", "FieldValueForbidden"),
                                 ("sendInitialEvents", "FieldValueForbidden")]


def test_initial_events_of_a_watch_need_a_match() -> None:
    with pytest.raises(Invalid) as refused:
        list_options(request("watch=1&sendInitialEvents=true"))
    assert findings(refused) == [("resourceVersionMatch", "FieldValueForbidden")]
    good = list_options(request("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"))
    assert (good.watch, good.initial_events, good.bookmarks) == (True, True, True)


def test_deletions_are_told_by_the_body_or_else_by_the_query() -> None:
    assert delete_options(request("gracePeriodSeconds=5"), b"").gracePeriodSeconds == 5
    assert delete_options(request("gracePeriodSeconds=5"), b'{"gracePeriodSeconds":1,"unknown":2}').gracePeriodSeconds == 1
    with pytest.raises(Invalid):
        delete_options(request("orphanDependents=true&propagationPolicy=Orphan"), b"")
    with pytest.raises(BadRequest, match="couldn't get version/kind"):
        delete_options(request(), b"{bad")


@pytest.mark.parametrize(("body", "told"), [
    (b'{"kind":"ConfigMap"}', 'no kind "ConfigMap" is registered for version "meta.k8s.io/v1" in scheme "pkg/runtime/scheme.go:111"'),
    (b'{"kind":"Foo","apiVersion":"apps/v1"}', 'no kind "Foo" is registered for version "apps/v1" in scheme "pkg/runtime/scheme.go:111"'),
    (b'{"apiVersion":"a/b/c"}', "unexpected GroupVersion string: a/b/c"),
    (b'{"kind":7}', "couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field .kind of type string"),
])
def test_what_calls_itself_something_else_deletes_nothing(body: bytes, told: str) -> None:
    with pytest.raises(BadRequest) as caught:
        delete_options(request(), body)
    assert caught.value.message == told


def test_options_of_any_group_and_none_delete() -> None:
    for body in (b"null", b'{"kind":"DeleteOptions","apiVersion":"foo/v1"}', b'{"apiVersion":"apps/v1"}', b'{"kind":"DeleteOptions"}'):
        assert delete_options(request(), body).propagationPolicy is None


def test_who_applies_says_so_before_anything_else_is_told() -> None:
    asked = request("dryRun=Some&fieldValidation=Foo", content_type="application/apply-patch+yaml")
    with pytest.raises(Invalid) as caught:
        write_options(asked, "PatchOptions")
    assert [path for path, _ in findings(caught)] == ["fieldManager", "dryRun", "fieldValidation"]


def test_a_timeout_is_a_duration() -> None:
    check_timeout("1h")
    check_timeout("")
    with pytest.raises(BadRequest, match='invalid timeout specified in the request URL - time: unknown unit "x" in duration "1x"'):
        check_timeout("1x")
