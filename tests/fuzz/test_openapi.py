"""Every group's own OpenAPI document says what to ask: whatever fits it gets an answer, and what is answered fits it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import requests
import schemathesis
from hypothesis import Phase, given, settings

from fuzz.world import SOAK, Answer, World, bounded
from sampan.api import codec
from sampan.apiserver.request import ADMIN
from sampan.apiserver.server import Settings

pytestmark = [pytest.mark.slow, pytest.mark.soak]
EXAMPLES = 40 if SOAK else 3
SAMPLE_OF_A_GROUP = 10_000 if SOAK else 16
LONG = ("watch", "log", "exec", "attach", "portforward", "proxy")


@pytest.fixture(scope="module")
def server() -> Iterator[World]:
    """With all that a fresh server has."""
    made = World(Settings(users={"secret": ADMIN}))
    yield made
    made.close()


def operations(server: World, group: str) -> Iterator[Any]:
    document = server.ask("GET", f"/openapi/v3/{group}").value
    assert document["openapi"].startswith("3.")
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        parts = operation.path.split("/")
        # whole collections stay: the lists are looked at
        if not any(word in parts for word in LONG) and not (operation.method == "delete" and "{name}" not in operation.path):
            yield operation


def sample(found: list[Any]) -> list[Any]:
    """Some of a group's operations: one of each method before a second of any."""
    by_method: dict[str, list[Any]] = {}
    for operation in found:
        by_method.setdefault(operation.method, []).append(operation)
    turns = [operation for number in range(len(found)) for of in by_method.values() for operation in of[number:number + 1]]
    return turns[:SAMPLE_OF_A_GROUP]


def ask(server: World, case: Any) -> Answer:
    path = case.path
    for name, value in case.path_parameters.items():
        path = path.replace("{" + name + "}", quote(str(value), safe="", errors="replace"))
    query = {key: value for key, value in (case.query or {}).items() if key != "watch"}
    body = b"" if type(case.body).__name__ == "NotSet" else json.dumps(case.body).encode()
    headers: dict[str, str | bytes] = {"content-type": case.media_type if case.media_type not in (None, "*/*") else "application/json"}
    return server.ask(case.method.upper(), f"{path}?{urlencode(query, doseq=True, errors='replace')}", body, headers)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def fits(case: Any, answer: Answer) -> None:
    """What is answered is what the document says, but for Go's nulls that stand for nothing.

    Raises:
        AssertionError: It is not.
    """
    from schemathesis.specs.openapi.checks import response_schema_conformance
    request = requests.Request(case.method, "https://localhost" + case.path.replace("{", "").replace("}", "")).prepare()
    response = schemathesis.Response(
        status_code=answer.code, headers={name: [value] for name, value in answer.headers.items()}, content=codec.encode(without_nulls(answer.value)), request=request,
        elapsed=0.0, verify=False)
    case.validate_response(response, checks=[response_schema_conformance])


SLICES = 6


@pytest.mark.parametrize("part", range(SLICES))
def test_whatever_fits_a_document_gets_an_answer_that_fits_it(server: World, part: int) -> None:
    groups = sorted(server.ask("GET", "/openapi/v3").value["paths"])
    assert "apis/example.com/v1" in groups, "a custom resource's document is one of them"
    for operation in [one for group in groups[part::SLICES] for one in sample(list(operations(server, group)))]:
        @settings(bounded(EXAMPLES, EXAMPLES), phases=[Phase.explicit, Phase.generate])
        @given(operation.as_strategy())
        def check(case: Any) -> None:
            answer = ask(server, case)
            if answer.code in (200, 201, 202) and answer.headers.get("content-type") == "application/json":
                fits(case, answer)

        check()


def test_every_list_of_a_full_server_fits_its_document(server: World) -> None:
    seen = 0
    for group in sorted(server.ask("GET", "/openapi/v3").value["paths"]):
        for operation in operations(server, group):
            if operation.method == "get" and "{name}" not in operation.path:
                case = operation.Case(path_parameters={"namespace": "default"} if "{namespace}" in operation.path else {}, query={})
                answer = ask(server, case)
                assert answer.code == 200, operation.path
                fits(case, answer)
                seen += len(answer.value.get("items") or ())
    assert seen > 100


def test_an_answer_that_does_not_fit_is_noticed(server: World) -> None:
    operation = next(one for one in operations(server, "api/v1") if one.method == "get" and one.path == "/api/v1/namespaces/{namespace}/configmaps")
    case = operation.Case(path_parameters={"namespace": "default"}, query={})
    wrong = Answer(200, {"content-type": "application/json"}, b'{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":[{"data":{"k":1}}]}')
    with pytest.raises(BaseExceptionGroup):
        fits(case, wrong)
