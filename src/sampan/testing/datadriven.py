"""Transcripts: behaviour with many cases as text, one command and its output after another.

A transcript is blocks with a blank line between them. A block: comment lines (`# …`), a command line, input lines,
`----`, and the expected output up to the next blank line (`----` twice around output that holds blank lines).

    # Scaling down removes the pod that serves least.
    pods
    a ready
    b starting
    ----
    ok

    scale want=1
    ----
    delete b

`run(path, handle)` calls `handle(block)` for each and compares. With `--rewrite` (or SAMPAN_REWRITE=1) it writes what it
got instead; the diff is what one reviews.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SEPARATOR = "----"


@dataclass
class Block:
    """One command: `name`, its `key=value` arguments, its other words, its input; where it stands; what is expected."""

    name: str
    line: int
    args: dict[str, str] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)
    input: str = ""
    expected: str = ""
    head: list[str] = field(default_factory=list)  # the lines up to the separator, as they stand

    def get(self, key: str, default: str = "") -> str:
        """An argument's value."""
        return self.args.get(key, default)

    def number(self, key: str, default: int = 0) -> int:
        """An argument's value as a number."""
        return int(self.args.get(key, default))

    def flag(self, word: str) -> bool:
        """Whether a word stands in the command line."""
        return word in self.words


Handler = Callable[[Block], str]


class TranscriptError(Exception):
    """A transcript that can't be read; says where."""


def parse(text: str, name: str = "transcript") -> list[Block]:
    """The blocks of a transcript.

    Raises:
        TranscriptError: A block has no separator.
    """
    blocks: list[Block] = []
    lines, at = text.splitlines(), 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        start, head = at, []
        while at < len(lines) and lines[at] != SEPARATOR:
            head.append(lines[at])
            at += 1
        if at == len(lines):
            if all(not line.strip() or line.startswith("#") for line in head):
                break  # closing comments
            raise TranscriptError(f"{name}:{start + 1}: no line {SEPARATOR} follows")
        expected, at = _output(lines, at + 1)
        blocks.append(_block(head, start, expected))
    return blocks


def _output(lines: list[str], at: int) -> tuple[str, int]:
    if at < len(lines) and lines[at] == SEPARATOR:  # doubled: blank lines may stand inside
        end = at + 1
        while lines[end:end + 2] != [SEPARATOR, SEPARATOR]:
            end += 1
        return "\n".join(lines[at + 1:end]), end + 2
    end = at
    while end < len(lines) and lines[end].strip():
        end += 1
    return "\n".join(lines[at:end]), end


def _block(head: list[str], start: int, expected: str) -> Block:
    skipped = 0
    while skipped < len(head) and (head[skipped].startswith("#") or not head[skipped].strip()):
        skipped += 1
    name, *rest = shlex.split(head[skipped])
    block = Block(name, start + skipped + 1, input="\n".join(head[skipped + 1:]), expected=expected, head=head)
    for word in rest:
        key, equals, value = word.partition("=")
        if equals:
            block.args[key] = value
        else:
            block.words.append(word)
    return block


def render(blocks: list[Block], outputs: list[str]) -> str:
    """The transcript with these outputs."""
    parts = []
    for block, output in zip(blocks, outputs, strict=True):
        head = "\n".join(block.head)
        if any(not line.strip() for line in output.splitlines()):
            parts.append(f"{head}\n{SEPARATOR}\n{SEPARATOR}\n{output}\n{SEPARATOR}\n{SEPARATOR}")
        else:
            parts.append(f"{head}\n{SEPARATOR}\n{output}" if output else f"{head}\n{SEPARATOR}")
    return "\n\n".join(parts) + "\n"


def rewriting() -> bool:
    """Whether transcripts are to be recorded again."""
    return "--rewrite" in sys.argv or os.environ.get("SAMPAN_REWRITE", "") not in ("", "0")


def run(path: Path, handle: Handler, *, rewrite: bool | None = None) -> None:
    """Play a transcript.

    Raises:
        AssertionError: An output is not the expected one; says which, and how to record it again.
    """
    blocks = parse(path.read_text(), path.name)
    assert blocks, f"{path} holds no block"
    outputs = [handle(block).rstrip("\n") for block in blocks]
    if rewriting() if rewrite is None else rewrite:
        path.write_text(render(blocks, outputs))
        return
    for block, output in zip(blocks, outputs, strict=True):
        assert output == block.expected, (
            f"{path.name}:{block.line}: {block.name}\nexpected:\n{block.expected}\ngot:\n{output}\n"
            "(SAMPAN_REWRITE=1 records it again)")


def transcripts(folder: Path) -> list[Path]:
    """The transcripts of a folder, for parametrising a test."""
    found = sorted(folder.glob("*.txt"))
    assert found, f"no transcript in {folder}"
    return found
