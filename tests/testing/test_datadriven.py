"""The transcript runner itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.testing.datadriven import Block, TranscriptError, parse, run

TEXT = """# Adding up.
add to=2 loudly
3
4
----
9

nothing
----

twice
----
----
a

b
----
----
"""


def handle(block: Block) -> str:
    if block.name == "add":
        return str(block.number("to") + sum(map(int, block.input.split())))
    return "a\n\nb" if block.name == "twice" else ""


def test_blocks_have_a_command_arguments_input_and_output() -> None:
    first, second, third = parse(TEXT)
    assert (first.name, first.args, first.words, first.input, first.expected) == ("add", {"to": "2"}, ["loudly"], "3\n4", "9")
    assert first.flag("loudly")
    assert (second.name, second.expected) == ("nothing", "")
    assert third.expected == "a\n\nb"


def test_a_transcript_that_holds_passes_and_another_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "sums.txt"
    path.write_text(TEXT)
    run(path, handle, rewrite=False)
    path.write_text(TEXT.replace("9", "8"))
    with pytest.raises(AssertionError, match=r"sums.txt:2: add"):
        run(path, handle, rewrite=False)


def test_rewriting_records_what_happened_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "sums.txt"
    path.write_text(TEXT.replace("9", "8"))
    run(path, handle, rewrite=True)
    assert path.read_text() == TEXT.replace("nothing\n----\n", "nothing\n----\n")
    run(path, handle, rewrite=False)


def test_a_block_without_separator_is_refused() -> None:
    with pytest.raises(TranscriptError, match="t:1"):
        parse("add\n3\n", "t")
