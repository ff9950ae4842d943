"""What may be wrong with an expression, or happen while it is evaluated.

Source: cel-go `common/error.go`, `checker/errors.go` for the words.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.lib.errors import SampanError

SNIPPET_MOST = 16384
WIDE_DOT, WIDE_CARET = "．", "＾"


class CelError(SampanError):
    """An evaluation met an error: a key that is not there, an overflow. `||`, `&&` and macros may absorb it."""


class CostExceeded(SampanError):
    """The evaluation spent its budget. Nothing absorbs it."""

    def __init__(self) -> None:
        super().__init__("operation cancelled: actual cost limit exceeded")


@dataclass(frozen=True)
class Issue:
    """One finding about a text, at an offset in it."""

    offset: int
    message: str


class CompileError(SampanError):
    """The text is no expression, or its types do not fit."""

    def __init__(self, source: str, issues: list[Issue]) -> None:
        self.source, self.issues = source, issues
        super().__init__("\n".join(_render(source, issue) for issue in issues))


def _render(source: str, issue: Issue) -> str:
    if issue.offset < 0:
        return f"ERROR: <input>:-1:0: {issue.message}"
    if not source:
        return f"ERROR: <input>:1:0: {issue.message}"
    before = source[:issue.offset]
    line = before.count("\n")
    column = issue.offset - (before.rfind("\n") + 1)
    text = f"ERROR: <input>:{line + 1}:{column + 1}: {issue.message}"
    snippet = source.split("\n")[line].replace("\t", " ")
    if len(snippet) > SNIPPET_MOST:
        return text
    dots = "".join("." if ord(char) < 128 else WIDE_DOT for char in snippet[:column])
    caret = "^" if column >= len(snippet) or ord(snippet[column]) < 128 else WIDE_CARET
    return f"{text}\n | {snippet}\n | {dots}{caret}"
