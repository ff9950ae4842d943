"""Where expressions are compiled: the variables they see and the functions they call.

    env = Environment({"self": INT})
    program = env.compile("self > 3")          # once
    program.evaluate({"self": 4})              # often

Source: apiserver `pkg/cel/environment/base.go`, `pkg/apis/cel/config.go` for the limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sampan.api.cel.ast import Node
from sampan.api.cel.checker import Checker
from sampan.api.cel.compiler import build
from sampan.api.cel.errors import CelError, CompileError, CostExceeded, Issue
from sampan.api.cel.library.all import FUNCTIONS
from sampan.api.cel.library.overload import Functions
from sampan.api.cel.parser import DEPTH, parse
from sampan.api.cel.types import Type

PER_CALL_LIMIT = 1_000_000
"""What one expression may cost when it is evaluated."""
REMEMBERED = 4096


class Program:
    """One compiled expression. It may be shared: every evaluation has a frame of its own."""

    def __init__(self, source: str, tree: Node, names: tuple[str, ...], width: int) -> None:
        self.source, self.tree = source, tree
        self._names = names
        self._locals = [None] * (width - len(names) - 1)
        self._run = build(tree)

    @property
    def type(self) -> Type:
        """Of what it evaluates to."""
        return self.tree.type

    def evaluate(self, values: Mapping[str, Any], limit: int = PER_CALL_LIMIT) -> Any:
        """The value.

        Raises:
            CelError: The evaluation met an error.
            CostExceeded: It would cost more than `limit`.
        """
        return self.measure(values, limit)[0]

    def measure(self, values: Mapping[str, Any], limit: int = PER_CALL_LIMIT) -> tuple[Any, int]:
        """The value, and what it cost.

        Raises:
            CelError: The evaluation met an error.
            CostExceeded: It would cost more than `limit`.
        """
        frame = [limit, *[values[name] for name in self._names], *self._locals]
        try:
            value = self._run(frame)
        except RecursionError:
            raise CelError("the expression or its values are nested too deep") from None
        if frame[0] < 0:
            raise CostExceeded
        return value, limit - frame[0]


def _no_structs(name: str) -> Type | None:
    return None


class Environment:
    """Compiles expressions over declared variables, and remembers what it compiled."""

    def __init__(self, variables: Mapping[str, Type], *, functions: Functions = FUNCTIONS, structs: Callable[[str], Type | None] = _no_structs,
                 mixed: bool = False) -> None:
        """`mixed`: literals may hold items of several types (CEL allows it, Kubernetes does not)."""
        self.variables, self._functions, self._structs, self._mixed = dict(variables), functions, structs, mixed
        self._programs: dict[str, Program] = {}

    def compile(self, source: str) -> Program:
        """The program of an expression.

        Raises:
            CompileError: With all findings, in upstream's words.
        """
        program = self._programs.get(source)
        if program is None:
            program = self._compile(source)
            if len(self._programs) >= REMEMBERED:
                self._programs.pop(next(iter(self._programs)))
            self._programs[source] = program
        return program

    def _compile(self, source: str) -> Program:
        names = tuple(self.variables)
        slots = {name: at for at, name in enumerate(names, 1)}
        try:
            tree = parse(source)
            checker = Checker(source, self.variables, slots, self._functions, self._structs, mixed=self._mixed)
            checker.whole(tree)
            return Program(source, tree, names, checker.width)
        except RecursionError:
            raise CompileError("", [Issue(-1, f"expression recursion limit exceeded: {DEPTH}")]) from None

    def extended(self, variables: Mapping[str, Type]) -> Environment:
        """The same with more variables."""
        return Environment(self.variables | dict(variables), functions=self._functions, structs=self._structs, mixed=self._mixed)
