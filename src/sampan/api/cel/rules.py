"""Validation rules of one level of a structural schema, compiled: `self`, `oldSelf`, messages.

Source: apiextensions-apiserver `pkg/apiserver/schema/cel/compilation.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api.cel import ast
from sampan.api.cel.admission import Compiled, compile_as
from sampan.api.cel.environment import Environment, Program
from sampan.api.cel.types import BOOL, STRING, Type, optional_of


@dataclass(frozen=True)
class Rule:
    """One rule. `transition`: it judges changes only; `optional`: `oldSelf` is an optional."""

    source: Mapping[str, Any]
    rule: Compiled
    message: Compiled | None
    transition: bool
    optional: bool

    @property
    def uses_old(self) -> bool:
        """Whether it speaks of `oldSelf`."""
        return _uses_old(self.rule.program)

    @property
    def text(self) -> str:
        """How errors name the rule: by its message or its text."""
        return str(self.source.get("message") or "").strip() or str(self.source.get("rule", "")).strip()


def compile_rule(source: Mapping[str, Any], self_type: Type) -> Rule:
    """A rule of `x-kubernetes-validations` over values of a type."""
    optional = bool(source.get("optionalOldSelf"))
    env = Environment({"self": self_type, "oldSelf": optional_of(self_type) if optional else self_type})
    rule = compile_as(env, source.get("rule", ""), (BOOL,))
    told = compile_as(env, source["messageExpression"], (STRING,)) if source.get("messageExpression") else None
    return Rule(source, rule, told, not optional and _uses_old(rule.program), optional)


def _uses_old(program: Program | None) -> bool:
    return program is not None and ast.mentions(program.tree, 2)
