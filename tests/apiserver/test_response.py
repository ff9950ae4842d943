"""Headers of answers."""

from __future__ import annotations

from sampan.apiserver.response import warning_headers


def test_each_warning_is_given_once_and_quoted() -> None:
    assert warning_headers(['a "b"', "", "c\nd", 'a "b"']) == [(b"warning", b'299 - "a \\"b\\""'), (b"warning", b'299 - "c d"')]


def test_long_warnings_are_cut_when_they_are_too_many() -> None:
    # given
    texts = [f"{n:02}" + "x" * 998 for n in range(30)]
    # then
    assert len(warning_headers(texts[:4])[0][1]) == 1000 + len('299 - ""')
    cut = warning_headers(texts)
    assert len(cut) == 16
    assert {len(value) for _, value in cut} == {256 + len('299 - ""')}


def test_the_one_that_passes_the_limit_is_the_last() -> None:
    assert len(warning_headers([f"{n:03}" + "x" * 97 for n in range(70)])) == 41
