"""`Entry`: one object at one revision, as the bytes that leave the server.

Owns where the revision stands in those bytes (`splice`, `respliced`), and what is decoded from them, lazily and once.
Stored bytes are JSON without a resource version; `kind`, `apiVersion` and `metadata` come first and in that order,
and only `name`, `generateName`, `namespace` and `selfLink` precede `uid` in the metadata. None of those can contain
`"uid":"`, since a quote inside a JSON string is always escaped: the first occurrence is the member itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.api import codec, protobuf
from sampan.api.resourceinfo import Resource

_UID = b'"uid":"'
_SLOT = len(_UID) + 36 + 1  # the member, a uid's text, its closing quote
_NO_LABELS: dict[str, str] = {}


class _HeadMeta(msgspec.Struct, gc=False):
    labels: dict[str, str] | None = None


class _Head(msgspec.Struct, gc=False):
    metadata: _HeadMeta


_head = msgspec.json.Decoder(_Head)


def splice(stored: bytes, revision: int) -> bytes:
    """The stored JSON with `metadata.resourceVersion` in its slot, right behind the uid.

    Raises:
        ValueError: There is no uid, so these are not the bytes of a stored object.
    """
    slot = stored.index(_UID) + _SLOT
    return b'%b,"resourceVersion":"%d"%b' % (stored[:slot], revision, stored[slot:])


def unsplice(body: bytes, revision: int) -> bytes:
    """The inverse of `splice`: the bytes as they are stored."""
    slot = body.index(_UID) + _SLOT
    return body[:slot] + body[slot + len(b',"resourceVersion":""') + len(str(revision)):]


def respliced(body: bytes, revision: int, new: int) -> bytes:
    """The same object under another revision: what a DELETED event shows."""
    return splice(unsplice(body, revision), new)


class Entry(msgspec.Struct, gc=False, eq=False):
    """One object at one revision. Shared by everybody who reads: change nothing.

    A Struct that the garbage collector does not visit: there are as many as there are objects, and none is part of
    a cycle. `resource` says what kind of object it is, in the version that it is stored in; `indexed` is the value of
    the field that the resource is indexed by (pods: `spec.nodeName`), else empty.
    """

    resource: Resource[Any]
    key: str
    namespace: str
    name: str
    body: bytes
    revision: int
    indexed: str = ""
    _object: Any = None
    _labels: dict[str, str] | None = None
    _message: bytes | None = None

    @property
    def object(self) -> Any:
        """The decoded Struct (dict for custom resources), made once on first use; never change it."""
        if self._object is None:
            self._object = codec.decode(self.resource.wire, self.body)
        return self._object

    def peek(self) -> Any:
        """The decoded object, not kept where nobody else has asked for it; never change it."""
        return self._object if self._object is not None else codec.decode(self.resource.wire, self.body)

    @property
    def labels(self) -> dict[str, str]:
        """`metadata.labels`; never change it. Far cheaper than decoding the object for it."""
        if self._labels is None:
            self._labels = _head.decode(self.body).metadata.labels or _NO_LABELS
        return self._labels

    @property
    def message(self) -> bytes:
        """The bare protobuf message (built-in kinds only), kept from the second time on that somebody asks."""
        if self._message:
            return self._message
        made = protobuf.message(self.resource.group_version, self.resource.kind, self.peek())
        self._message = b"" if self._message is None else made
        return made

    def adopt(self, obj: Any) -> None:
        """Take this for the decoded object. It gets the entry's revision, and nobody else changes it any more."""
        obj.metadata.resourceVersion = str(self.revision)
        self._object = obj

    def lighten(self) -> None:
        """Let go of what was decoded: a replaced state is kept for its bytes, and hardly anybody asks for more."""
        self._object = self._labels = self._message = None

    def at(self, revision: int) -> Entry:
        """The same state under another revision: what a DELETED event shows."""
        return Entry(self.resource, self.key, self.namespace, self.name,
                     respliced(self.body, self.revision, revision), revision, self.indexed)

    def __repr__(self) -> str:
        return f"Entry({self.key!r}, revision={self.revision})"
