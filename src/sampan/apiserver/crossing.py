"""An object of one version as another version of the same resource shows it, for who decides synchronously.

Where a webhook converts, the answer is a question first: see `sampan.apiserver.auth.asking`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sampan.api import codec
from sampan.apiserver.auth.asking import Undecided, answered
from sampan.apiserver.catalog import Served, View


@dataclass(frozen=True)
class Conversion:
    """A conversion that somebody else makes."""

    view: View
    inward: bool
    body: bytes

    @property
    def key(self) -> Hashable:
        return id(self.view), self.inward, self.body

    async def ask(self) -> Any:
        """The converted object.

        Raises:
            ApiError: It can't be converted.
        """
        obj = codec.loads(self.body)
        return await (self.view.inward(obj) if self.inward else self.view.outward(obj))


class Converts(Protocol):
    """Asks somebody else for the objects of another version."""

    async def convert(self, objects: Sequence[dict[str, Any]], desired: str) -> list[dict[str, Any]]: ...


@dataclass(frozen=True)
class VersionOf:
    """One object in another version."""

    converter: Converts
    body: bytes
    desired: str

    @property
    def key(self) -> Hashable:
        return id(self.converter), self.desired, self.body

    async def ask(self) -> Any:
        """The converted object.

        Raises:
            ApiError: It can't be converted.
        """
        return (await self.converter.convert([codec.loads(self.body)], self.desired))[0]


def in_version(converter: Converts, obj: dict[str, Any], desired: str) -> dict[str, Any]:
    """A custom object in another version; never change it.

    Raises:
        Undecided: A webhook has to be asked.
    """
    if obj.get("apiVersion") == desired:
        return obj
    question = VersionOf(converter, codec.encode(obj), desired)
    found: Any = answered(question.key)
    if found is None:
        raise Undecided(question)
    return found  # type: ignore[no-any-return]


def crossed(obj: Any, here: Served, there: Served) -> Any:
    """An object of `here` as `there` shows it.

    Raises:
        Undecided: A webhook has to be asked.
    """
    stored = _asked(here.view, obj, inward=True) if here.view is not None else obj if here.inward is None else here.inward(obj)
    return _asked(there.view, stored, inward=False) if there.view is not None else stored if there.outward is None else there.outward(stored)


def _asked(view: View, obj: Any, *, inward: bool) -> Any:
    question = Conversion(view, inward, codec.encode(obj))
    found: Any = answered(question.key)
    if found is None:
        raise Undecided(question)
    return codec.clone(found)
