"""Objects have so many levels and no more; brackets in texts are none."""

from __future__ import annotations

import pytest

from sampan.api.errors import BadRequest
from sampan.apiserver import depth


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"[]" + b"}" * (levels - 1)


def test_the_deepest_that_may_be_kept_is_kept_and_one_more_is_refused() -> None:
    depth.check(nested(depth.MOST))
    with pytest.raises(BadRequest, match="no more than 200 levels"):
        depth.check(nested(depth.MOST + 1))
    with pytest.raises(BadRequest):
        depth.check(b"[" + b"{}," * 5000 + nested(900) + b"]")


def test_wide_objects_and_texts_full_of_brackets_are_not_deep() -> None:
    depth.check(b"[" + b"{}," * 5000 + b"[]]")
    depth.check(b'{"a":"' + b"{[" * 5000 + b'"}')
