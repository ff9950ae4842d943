"""POSTs that compute an answer and store nothing: the review kinds."""

from __future__ import annotations

from typing import Any

from sampan.apiserver.auth.reviews import REVIEWS, Reviewer
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import form_of, render
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response


async def review(reviewer: Reviewer, info: RequestInfo, served: Served, obj: Any) -> Response:
    """Answer a review."""
    answer = await REVIEWS[served.resource](reviewer, info.user, info.namespace, obj)
    return render(answer, form_of(info), 201)
