"""Short texts are remembered, as many as fit; long ones never."""

from __future__ import annotations

from sampan.lib.memo import Passed, remembered


def test_a_short_text_is_worked_out_once_and_a_long_one_each_time() -> None:
    asked: list[str] = []

    @remembered(maxsize=2, longest=4)
    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    # when the same texts are asked for twice
    answers = [length(text) for text in ("ab", "ab", "abcde", "abcde")]
    # then only the short one was kept
    assert (answers, asked) == ([2, 2, 5, 5], ["ab", "abcde", "abcde"])


def test_the_oldest_text_goes_when_there_are_too_many() -> None:
    asked: list[bytes] = []

    @remembered(maxsize=2)
    def seen(text: bytes) -> None:
        asked.append(text)

    for text in (b"a", b"b", b"c", b"a"):
        seen(text)
    assert asked == [b"a", b"b", b"c", b"a"]


def test_what_passed_is_known_until_others_passed_since() -> None:
    passed: Passed[bytes] = Passed(maxsize=2, longest=4)
    # when more pass than are kept, among them a long text and none
    for text in (b"a", b"b", b"c", b"abcde", b""):
        passed.add(text)
    # then the last short ones are known
    assert [text for text in (b"a", b"b", b"c", b"abcde", b"") if text in passed] == [b"b", b"c"]
