"""The root of the error tree. Every error that can reach a user descends from `SampanError`.

Each row grows its own branch: `sampan.api.errors` (what an API server answers), `sampan.store.base`
(compaction, conflicts), drivers (translated foreign exceptions).
"""

from __future__ import annotations


class SampanError(Exception):
    """Something that a user can read: `message` says what is wrong and where, `hint` what to do about it."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message, self.hint = message, hint
        super().__init__(f"{message}\n  {hint}" if hint else message)


class ConfigError(SampanError):
    """A flag, a file or an environment that cannot work as given."""


class MissingPart(SampanError):
    """A program, kernel feature or package that is needed is not there; `hint` says how to get it."""
