"""Formats of strings, as upstream's validator knows them."""

from __future__ import annotations

import pytest

from sampan.kinds.apiextensions.formats import check_of, known_format


@pytest.mark.parametrize(("name", "good", "bad"), [
    ("date", "2024-02-29", "2023-13-01"), ("date-time", "2024-01-01T00:00:00Z", "yesterday"), ("duration", "1h", "one hour"),
    ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567"), ("email", "a@example.com", "a"), ("hostname", "a.example.com", "a_b!"),
    ("ipv4", "10.0.0.1", "10.0.0.256"), ("ipv6", "fd00::1", "10.0.0.1"), ("cidr", "10.0.0.0/8", "10.0.0.0"), ("mac", "00:11:22:33:44:55", "00:11"),
    ("byte", "aGk=", "a"), ("uri", "https://example.com/a", "::"), ("hexcolor", "#ffaa00", "#ggg"), ("rgbcolor", "rgb(1,2,3)", "rgb(1,2)"),
    ("isbn10", "0-306-40615-2", "0-306-40615-3"), ("isbn13", "978-0-306-40615-7", "978-0-306-40615-8"), ("creditcard", "4111111111111111", "4111111111111112"),
    ("ssn", "123-45-6789", "123"),
])
def test_a_text_has_its_format(name: str, good: str, bad: str) -> None:
    check = check_of({"type": "string", "format": name})
    assert check is not None
    assert check(good)
    assert not check(bad)


@pytest.mark.parametrize("schema", [{"type": "string"}, {"type": "string", "format": "nobody-knows"}, {"type": "integer", "format": "int32"}])
def test_other_formats_are_not_judged(schema: dict[str, str]) -> None:
    assert check_of(schema) is None
    assert known_format({"type": "string", "format": "date"}) == "date"
