"""Expressions in policies: each has to compile, and to be of the right type.

Source: kubernetes `pkg/apis/admissionregistration/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.api import field
from sampan.api.admissionregistration.v1 import MatchCondition, Variable
from sampan.api.cel.admission import compile_as, environment, with_variables
from sampan.api.cel.environment import Environment
from sampan.api.cel.types import BOOL, Type
from sampan.api.errors import FieldError


def check(env: Environment, expression: str, wanted: Sequence[Type], at: str) -> list[FieldError]:
    """What is wrong with an expression; an empty one is somebody else's finding."""
    if not expression.strip():
        return []
    problem = compile_as(env, expression, wanted).problem
    return [field.invalid(at, expression, problem)] if problem else []


def conditions(given: Sequence[MatchCondition], at: str, *, params: bool) -> dict[int, list[FieldError]]:
    """Findings about match conditions, by their place."""
    env = environment(params=params)
    return {index: check(env, one.expression, (BOOL,), f"{at}[{index}].expression") for index, one in enumerate(given)}


def variables(base: Environment, given: Sequence[Variable], at: str) -> tuple[Environment, dict[int, list[FieldError]]]:
    """The environment with the variables, and findings about them by their place."""
    env, compiled = with_variables(base, [(one.name, one.expression) for one in given])
    return env, {index: [field.invalid(f"{at}[{index}].expression", given[index].expression, one.problem)]
                 for index, one in enumerate(compiled) if one.problem and given[index].expression.strip()}
