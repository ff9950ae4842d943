"""Log lines: a constant message and its key–values, one line each: `… INFO sampan.node pod evicted pod=web freed_bytes=12`."""

from __future__ import annotations

import logging

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class KeyValues(logging.Formatter):
    """Appends what was given as `extra`; values with spaces are quoted."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        text = super().formatMessage(record)
        extras = [f"{key}={_shown(value)}" for key, value in vars(record).items() if key not in _OWN]
        return " ".join([text, *extras])


def _shown(value: object) -> str:
    text = str(value).replace("\n", "\\n")
    return f'"{text}"' if " " in text or not text else text


def configure(level: str) -> None:
    """Log to stderr from `level` (debug, info, warning, error) on."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValues())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
