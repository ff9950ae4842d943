"""Log lines show what was given beside the message."""

from __future__ import annotations

import logging

from sampan.lib.logs import KeyValues


def test_key_values_follow_the_message_and_stay_on_one_line() -> None:
    record = logging.makeLogRecord({"msg": "pod waits", "levelname": "INFO", "name": "node", "pod": "default/web", "error": "no\nroom here"})
    assert KeyValues().format(record).endswith('INFO node pod waits pod=default/web error="no\\nroom here"')
