"""Logs as `kubectl logs` wants them, from CRI's format."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.api.errors import BadRequest
from sampan.node.server.app import log_options, stream_flags
from sampan.node.server.logs import Line, LogOptions, moment, parse, render, tail_offset

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def line(text: str, *, stream: str = "stdout", tag: str = "F", second: int = 0) -> bytes:
    return f"2026-01-01T11:59:{second:02}.123456789Z {stream} {tag} {text}\n".encode()


def test_a_line_has_time_stream_tag_and_text() -> None:
    assert parse(line("hello world")[:-1]) == Line(b"2026-01-01T11:59:00.123456789Z", b"stdout", False, b"hello world")
    assert parse(b"2026-01-01T11:59:00Z stdo") is None
    assert moment(b"2026-01-01T11:59:00.123456789Z") == datetime(2026, 1, 1, 11, 59, 0, 123456, tzinfo=UTC)


def test_rendering_filters_and_stamps() -> None:
    entry = parse(line("hi", stream="stderr")[:-1])
    assert entry is not None
    assert render(entry, LogOptions(), fresh=True) == b"hi\n"
    assert render(entry, LogOptions(timestamps=True), fresh=True) == b"2026-01-01T11:59:00.123456789Z hi\n"
    assert render(entry, LogOptions(stream="Stdout"), fresh=True) == b""
    assert render(entry, LogOptions(since=NOW), fresh=True) == b""


def test_a_line_in_parts_is_one_line() -> None:
    parts = [parse(line("ab", tag="P")[:-1]), parse(line("cd")[:-1])]
    assert b"".join(render(p, LogOptions(), fresh=i == 0) for i, p in enumerate(parts) if p) == b"abcd\n"


@given(st.lists(st.tuples(st.text("ab ", max_size=3), st.booleans()), max_size=12), st.integers(0, 6))
def test_the_tail_begins_with_a_whole_line(entries: list[tuple[str, bool]], wanted: int) -> None:
    data = b"".join(line(text, tag="P" if partial else "F") for text, partial in entries)
    rest = data[tail_offset(data, wanted):]
    lines = sum(1 for raw in rest.splitlines() if (parsed := parse(raw)) and not parsed.partial)
    total = sum(1 for _, partial in entries if not partial)
    assert lines == min(wanted, total)


def test_options_come_from_the_query() -> None:
    options, previous = log_options({"follow": "true", "tailLines": "5", "sinceSeconds": "60", "previous": "1"}, NOW)
    assert (options.follow, options.tail_lines, previous) == (True, 5, True)
    assert options.since == datetime(2026, 1, 1, 11, 59, tzinfo=UTC)
    with pytest.raises(BadRequest):
        log_options({"tailLines": "many"}, NOW)


def test_stream_flags_in_either_spelling() -> None:
    assert stream_flags({"input": "1", "output": "1", "tty": "1"}) == (True, True, False, True)
    assert stream_flags({"stdin": "true", "stdout": "true", "stderr": "true"}) == (True, True, True, False)
