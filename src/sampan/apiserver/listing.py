"""What a list answers: the listing and its JSON in pieces, continue tokens, and resource versions as text. Pure.

Source: apiserver `pkg/storage/continue.go`, `pkg/storage/errors.go`, `pkg/storage/api_object_versioner.go`.
"""

from __future__ import annotations

import base64
import binascii
import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from sampan.api.errors import BadRequest, Gone, Timeout
from sampan.api.resourceinfo import Resource
from sampan.apiserver.entries import Entry

PIECE_BYTES = 256 * 1024
LIST_TOO_OLD = "The resourceVersion for the provided list is too old."
CONTINUE_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)
_VERSION = "meta.k8s.io/v1"
_LARGEST = 2**64 - 1


@dataclass(frozen=True)
class Listing:
    """A list as it was at `revision`; `entries` stays as it is while the cache goes on."""

    entries: list[Entry]
    revision: int
    continue_: str = ""  # the token that goes on where the limit cut it off
    remaining: int | None = None  # how many follow, where that is known and there is a limit

    def meta(self, *, custom: bool = False) -> dict[str, Any]:
        """The ListMeta. Lists of custom resources always say where they go on."""
        meta: dict[str, Any] = {"resourceVersion": str(self.revision)}
        if self.continue_ or custom:
            meta["continue"] = self.continue_
        if self.continue_ and self.remaining is not None:
            meta["remainingItemCount"] = self.remaining
        return meta

    def chunks(self, resource: Resource[Any], *, kind: str = "") -> Iterator[bytes]:
        """The JSON of the list in pieces of about 256 KiB. `kind` is the list's, default the resource's + `List`.

        Items of built-in kinds come without their kind and apiVersion, as upstream writes them.
        """
        pieces = _items(self.entries, resource)
        yield self._head(kind or f"{resource.kind}List", resource.group_version, custom=not resource.wire_path) + next(pieces, b"")
        yield from pieces
        yield b"]}\n"

    def _head(self, kind: str, group_version: str, *, custom: bool) -> bytes:
        head = {"kind": kind, "apiVersion": group_version, "metadata": self.meta(custom=custom)}
        return json.dumps(head, separators=(",", ":"))[:-1].encode() + b',"items":['


def _items(entries: list[Entry], resource: Resource[Any]) -> Iterator[bytes]:
    head = b'{"kind":"%b","apiVersion":"%b",' % (resource.kind.encode(), resource.group_version.encode())
    cut = len(head) if resource.wire_path else 0
    parts: list[bytes] = []
    size, comma = 0, b""
    for entry in entries:
        body = entry.body
        if cut and body.startswith(head):
            parts += comma, b"{", body[cut:]
        else:
            parts += comma, body
        comma = b","
        size += len(body)
        if size >= PIECE_BYTES:
            yield b"".join(parts)
            parts, size = [], 0
    if parts:
        yield b"".join(parts)


class ContinueToken(NamedTuple):
    """Where to go on: behind `start` (relative to what is listed), at `revision`, below zero at the newest."""

    start: str
    revision: int

    def encode(self) -> str:
        """The text for clients."""
        data = json.dumps({"v": _VERSION, "rv": self.revision, "start": self.start}, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    @classmethod
    def decode(cls, text: str) -> ContinueToken:
        """Read it back.

        Raises:
            BadRequest: In upstream's words.
        """
        try:
            return cls._decode(text)
        except ValueError as error:
            raise BadRequest(f"invalid continue token: continue key is not valid{error}") from None

    @classmethod
    def _decode(cls, text: str) -> ContinueToken:
        token = _token(text)
        if token.get("v", "") != _VERSION:
            raise ValueError(f": server does not recognize this encoded version {token.get('v', '')}")
        revision, start = token.get("rv", 0), token.get("start", "")
        if not isinstance(revision, int) or isinstance(revision, bool) or not isinstance(start, str):
            raise ValueError(": json: cannot unmarshal a value into the token")
        if revision == 0:
            raise ValueError(f": incorrect encoded start resourceVersion (version {_VERSION})")
        if not start:
            raise ValueError(f": encoded start key empty (version {_VERSION})")
        key = start if start.startswith("/") else "/" + start
        if posixpath.normpath(key) != key:
            raise ValueError(f": {start}")
        return cls(key[1:], revision)


def _token(text: str) -> dict[str, Any]:
    if wrong := re.search(r"[^A-Za-z0-9_-]", text):
        raise ValueError(f": illegal base64 data at input byte {wrong.start()}")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError(f": illegal base64 data at input byte {len(text) - len(text) % 4}") from None
    try:
        token = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f": {_go_json_error(data)}") from None
    if not isinstance(token, dict):
        raise ValueError(": json: cannot unmarshal a value into the token")
    return token


def _go_json_error(data: bytes) -> str:
    """What Go says of text that is no JSON value; exact for what is wrong from the first character on."""
    text = data.lstrip(b" \t\r\n")
    if not text:
        return "unexpected end of JSON input"
    if text[:1] in b'{["-0123456789tfn':
        return "invalid character in the token"
    first = chr(text[0])
    shown = {"'": "\\'", "\\": "\\\\"}.get(first) or (first if first.isprintable() else _escaped(text[0]))
    return f"invalid character '{shown}' looking for beginning of value"


def _escaped(code: int) -> str:
    named = {7: "\\a", 8: "\\b", 11: "\\v", 12: "\\f"}
    return named.get(code) or (f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}")


class ContinueExpired(Gone):
    """A page's revision is gone. The token in the answer goes on at the newest, inconsistently."""

    def __init__(self, token: ContinueToken) -> None:
        super().__init__(CONTINUE_TOO_OLD)
        self.continue_ = ContinueToken(token.start, -1).encode()

    def status(self) -> dict[str, Any]:
        """With the token in the metadata, where upstream's clients look for it."""
        return super().status() | {"metadata": {"continue": self.continue_}}


def parse_resource_version(text: str) -> int:
    """The number that a resource version is; 0 for none.

    Raises:
        ValueError: It is none, in upstream's words; which code that is depends on the verb.
    """
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(_invalid(text, "invalid syntax"))
    if (revision := int(text) if len(text) <= 20 else _LARGEST + 1) > _LARGEST:
        raise ValueError(_invalid(text, "value out of range"))
    return revision


def _invalid(text: str, why: str) -> str:
    quoted = json.dumps(text, ensure_ascii=False)
    return f"resourceVersion: Invalid value: {quoted}: strconv.ParseUint: parsing {quoted}: {why}"


def too_large(asked: int, current: int) -> Timeout:
    """The answer to a revision that has not been given yet."""
    return Timeout(
        f"Timeout: Too large resource version: {asked}, current: {current}",
        details={"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                 "retryAfterSeconds": 1},
        headers={"Retry-After": "1"})
