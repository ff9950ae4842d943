"""Type checking of policies, with the server's own types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import VALIDATING_ADMISSION_POLICIES
from sampan.controllers.policystatus.controller import PolicyStatusController
from sampan.testing.datadriven import transcripts


async def policy(w: World, *validations: dict[str, str], resources: list[str] | None = None, groups: list[str] | None = None, **spec: Any) -> Any:
    rules = [{"apiGroups": groups if groups is not None else ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"],
              "resources": resources or ["deployments"]}]
    await w.make(VALIDATING_ADMISSION_POLICIES, {"metadata": {"name": "p"}, "spec": {
        "matchConstraints": {"resourceRules": rules}, "validations": list(validations), **spec}})
    await w.settle()
    return (await w.get(VALIDATING_ADMISSION_POLICIES, "p")).status


def build(w: World) -> list[Any]:
    return [PolicyStatusController(w.context)]


def test_a_good_policy_has_an_empty_check() -> None:
    async def scenario(w: World) -> None:
        status = await policy(w, {"expression": "object.spec.replicas < 5 && object.metadata.labels['a'] == 'b'",
                                  "messageExpression": "'at ' + string(object.spec.template.spec.containers.size())"})
        assert (status.observedGeneration, status.typeChecking.expressionWarnings) == (1, [])

    run(build, scenario)


def test_a_field_that_is_not_there_is_named_for_each_kind() -> None:
    async def scenario(w: World) -> None:
        status = await policy(w, {"expression": "object.spec.replicaz > 1"}, resources=["deployments", "replicasets", "pods/log"])
        (found,) = status.typeChecking.expressionWarnings
        where = "ERROR: <input>:1:12: undefined field 'replicaz'\n | object.spec.replicaz > 1\n | ...........^\n"
        assert found.fieldRef == "spec.validations[0].expression"
        assert found.warning == f"apps/v1, Kind=Deployment: {where}\napps/v1, Kind=ReplicaSet: {where}"

    run(build, scenario)


def test_a_comparison_of_other_types_is_a_warning_also_in_messages() -> None:
    async def scenario(w: World) -> None:
        status = await policy(w, {"expression": "true", "messageExpression": "object.spec.replicas + 'x'"})
        (found,) = status.typeChecking.expressionWarnings
        assert found.fieldRef == "spec.validations[0].messageExpression"
        assert "found no matching overload for '_+_' applied to '(int, string)'" in found.warning

    run(build, scenario)


def test_a_policy_of_everything_is_not_checked() -> None:
    async def scenario(w: World) -> None:
        status = await policy(w, {"expression": "object.nowhere == 1"}, groups=["*"])
        assert status.typeChecking.expressionWarnings == []

    run(build, scenario)


def test_quantities_and_variables_raise_no_false_alarm() -> None:
    async def scenario(w: World) -> None:
        status = await policy(w, {"expression": "variables.all.all(c, quantity(c.resources.limits['cpu']).isLessThan(quantity('2')))"},
                              variables=[{"name": "all", "expression": "object.spec.template.spec.containers"}])
        assert status.typeChecking.expressionWarnings == []

    run(build, scenario)


def test_a_change_is_checked_anew() -> None:
    async def scenario(w: World) -> None:
        await policy(w, {"expression": "object.spec.replicaz > 1"})
        await w.patch(VALIDATING_ADMISSION_POLICIES, "p", {"spec": {"validations": [{"expression": "object.spec.replicas > 1"}]}})
        await w.settle()
        status = (await w.get(VALIDATING_ADMISSION_POLICIES, "p")).status
        assert (status.observedGeneration, status.typeChecking.expressionWarnings) == (2, [])

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, build)
