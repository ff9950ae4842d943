"""Errors of answers that need not come from this server: those of metrics APIs and of scales.

Source: apimachinery `api/errors` (NewGenericServerResponse), client-go `rest/request.go`.
"""

from __future__ import annotations

from sampan.api import codec
from sampan.api.errors import ApiError, OtherStatus, from_status
from sampan.client.base import Answer

WORDS = {404: "the server could not find the requested resource", 503: "the server is currently unable to handle the request"}


def error_of(answer: Answer, title: str) -> ApiError:
    """The error that an answer is, in client-go's words where it is no Status; `title` says what was asked for."""
    try:
        body = codec.loads(answer.body)
    except codec.DecodeError:
        body = None
    if isinstance(body, dict) and body.get("kind") == "Status":
        return from_status(body)
    shown = repr(answer.body[:200].decode("utf-8", "replace").strip())
    words = WORDS.get(answer.code, f"an error on the server ({shown}) has prevented the request from succeeding")
    return OtherStatus(f"{words} ({title})", code=answer.code)


def unreadable(what: str, error: codec.DecodeError, title: str) -> ApiError:
    """The error that an answer is which should have been `what`."""
    return OtherStatus(f"the answer can't be read as {what}: {error} ({title})", code=500)
