"""Configuration files of the API server: read strictly, held to their kind, refused in one voice.

Owns from text to a Struct of the right kind, and the words of a refusal. Leaves what may stand in a file to its own module.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from sampan.api import codec, field, yamlbody
from sampan.api.errors import FieldError
from sampan.lib.errors import ConfigError


class Headed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every configuration file has."""

    kind: str = ""
    apiVersion: str = ""
    metadata: dict[str, Any] = {}


T = TypeVar("T", bound=Headed)


@dataclass(frozen=True)
class ConfigFile(Generic[T]):
    """One kind of configuration file.

    `called` is how messages name it ("audit policy"); of `versions` the first is the one to recommend.
    """

    called: str
    form: type[T]
    kind: str
    versions: tuple[str, ...]

    def read(self, text: bytes, origin: str) -> T:
        """The file, YAML or JSON. `origin` says where it came from.

        Raises:
            ConfigError: It can't be read, or is of another kind.
        """
        try:
            made = codec.decode(self.form, yamlbody.to_json(text).body)
        except (yamlbody.YAMLError, codec.DecodeError) as error:
            raise ConfigError(f"the {self.called} {origin} can't be read: {error}") from None
        if made.kind != self.kind or made.apiVersion not in self.versions:
            raise ConfigError(f'the {self.called} {origin} is no {self.kind} of {self.versions[0]} but "{made.kind}" of "{made.apiVersion}"')
        return made

    def refuse(self, origin: str, errors: Iterable[FieldError]) -> None:
        """Raise what was found, if anything was.

        Raises:
            ConfigError: There are errors.
        """
        if found := list(errors):
            raise self.invalid(origin, field.aggregate(found))

    def invalid(self, origin: str, why: str, hint: str = "") -> ConfigError:
        """The error of a file that says what can't be."""
        return ConfigError(f"the {self.called} {origin} is invalid: {why}", hint=hint)
