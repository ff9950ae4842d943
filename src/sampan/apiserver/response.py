"""What a handler gives back: ready bytes, pieces of bytes, or a stream; with the decoded objects beside them.

Owns `Answer` (a complete answer), `Stream` (one that goes on: watches, logs) and how errors become a `Status`.
Leaves sending, compression and HEAD to `sampan.apiserver.asgi`. In-process callers take `Answer.result`
(an object, or a `ListResult`) instead of the bytes; handlers that have it decoded already put it there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sampan.api import codec
from sampan.api.errors import ApiError

Headers = list[tuple[bytes, bytes]]

JSON = b"application/json"
YAML = b"application/yaml"
TEXT = b"text/plain; charset=utf-8"
MOST_WARNING_CHARS = 4 * 1024
CUT_WARNING_CHARS = 256


@dataclass(slots=True)
class ListResult:
    """A list for in-process callers: entries as they are in the cache."""

    objects: Sequence[Any]
    revision: str
    continue_: str = ""


class Pieces:
    """A body of unknown length whose pieces are made when they are sent; may be made again."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], Iterable[bytes]]) -> None:
        self._make = make

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._make())


@dataclass(slots=True)
class Answer:
    """A complete answer. `body` may be pieces that are sent one after the other."""

    code: int
    body: bytes | list[bytes] | Pieces
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    result: Any = None
    entry: Any = None
    """The cache's entry, where the answer is one: its object is decoded only for callers who want it."""

    def joined(self) -> bytes:
        """The whole body."""
        return self.body if isinstance(self.body, bytes) else b"".join(self.body)


@dataclass(slots=True)
class Stream:
    """An answer that goes on until `chunks` ends or the client leaves."""

    code: int
    chunks: AsyncIterator[bytes]
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)
    events: AsyncIterator[Any] | None = None
    """For in-process watches: batches of `(kind, entry)`; when it is used, `chunks` is not."""
    ended: Callable[[], None] | None = None
    """Called when nobody reads `chunks` any longer, even if nobody ever did."""


@dataclass(slots=True)
class Tunnel:
    """A WebSocket to be opened to `url` and joined with the client's."""

    url: str
    headers: Mapping[str, str] | Sequence[tuple[str, str]]
    trusted: bool
    """The far end is a node agent: show our certificate, check its."""
    code: int = 101
    opener: Any = None
    """What opens it, if not the connections to nodes; `through` is for that one."""
    through: Any = None
    ended: Callable[[], None] | None = None
    """Called once, when both sides are done or the far one could not be reached."""


Response = Answer | Stream | Tunnel


def json_answer(value: Any, code: int = 200, *, headers: Headers | None = None) -> Answer:
    """Any Struct or dict as JSON."""
    return Answer(code, codec.encode(value), headers=headers or [], result=value)


def text_answer(text: str, code: int = 200, *, headers: Headers | None = None) -> Answer:
    """Plain text as Go's http package writes it."""
    nosniff = [(b"x-content-type-options", b"nosniff")]
    return Answer(code, text.encode(), TEXT, nosniff + (headers or []))


def error_answer(error: ApiError) -> Answer:
    """The `Status` of an error with its headers."""
    headers = [(key.lower().encode("latin-1"), value.encode("latin-1")) for key, value in error.headers.items()]
    retry = error.details.get("retryAfterSeconds")
    if retry and not any(key == b"retry-after" for key, _ in headers):
        headers.append((b"retry-after", str(retry).encode()))
    code = int(error.code)
    return Answer(code, codec.encode(error.status()), headers=headers)


def page_not_found() -> Answer:
    """What Go's mux says about a path that nobody serves."""
    return text_answer("404 page not found\n", 404)


def success(name: str, group: str, plural: str, uid: str, code: int = 200) -> dict[str, Any]:
    """The `Status` of a deletion that is done."""
    details = {key: value for key, value in (("name", name), ("group", group), ("kind", plural), ("uid", uid)) if value}
    body: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if details:
        body["details"] = details
    if code != 200:
        body["code"] = code
    return body


def warning_headers(texts: Sequence[str]) -> Headers:
    """One `Warning` header a text, each once, in order; cut as upstream does when they get too long.

    Source: apiserver `pkg/endpoints/filters/warning.go`: as soon as they are too many, all of them are cut.
    """
    shown: list[str] = []
    written, cut = 0, False
    for text in dict.fromkeys(filter(None, texts)):
        if not cut and written + len(text) > MOST_WARNING_CHARS:
            cut = True
            shown = [one[:CUT_WARNING_CHARS] for one in shown]
            written = sum(map(len, shown))
        elif cut and written >= MOST_WARNING_CHARS:
            break
        shown.append(text[:CUT_WARNING_CHARS] if cut else text)
        written += len(shown[-1])
    return [(b"warning", f'299 - "{_quotable(one)}"'.encode()) for one in shown]


def _quotable(text: str) -> str:
    clean = "".join(c if c >= " " and c != "\x7f" else " " for c in text)
    return clean.replace("\\", "\\\\").replace('"', '\\"')
