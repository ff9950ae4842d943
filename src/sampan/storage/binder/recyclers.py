"""The pods that empty volumes, as the binder remembers them: which is waited for, and what is told of it.

Owns the watches on these pods' events, one a volume while it is emptied; everything they say is said of the volume, too.
What a pod does is decided in `sampan.storage.provision.recycle`.
Source: `pkg/volume/util/recyclerclient/recycler_client.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import PersistentVolume, Pod
from sampan.api.errors import ApiError
from sampan.api.resources import EVENTS
from sampan.client.base import Client
from sampan.control.pods import is_terminal
from sampan.kinds.plan import EventRecord
from sampan.storage.provision.recycle import NAMESPACE, recycler_key

log = logging.getLogger(__name__)


class Recyclers:
    """The pods that are waited for, by volume; `tell` records what they say."""

    def __init__(self, client: Client, tell: Callable[[EventRecord], None]) -> None:
        self._client, self._tell = client, tell
        self._listening: dict[str, asyncio.Task[None]] = {}
        self.tasks: Tasks | None = None  # the group that listens, while the controller runs

    def await_pod(self, volume: PersistentVolume, pod: Pod | None) -> bool:
        """Note the pod that empties a volume; True: one was waited for, and somebody deleted it.

        A pod that has ended is not waited for: it is about to be taken away, or has been and the cache does not know.
        """
        name = volume.metadata.name
        if pod is None:
            return self.forget(name)
        if name not in self._listening and self.tasks is not None and not is_terminal(pod) and pod.metadata.deletionTimestamp is None:
            self._listening[name] = self.tasks.start(self._listen(volume), f"events of the recycler of {name}", keep_going=True)
        return False

    def forget(self, name: str) -> bool:
        """The volume of that name is not being emptied any more; True: it was."""
        task = self._listening.pop(name, None)
        if task is not None:
            task.cancel()
        return task is not None

    async def _listen(self, volume: PersistentVolume) -> None:
        fields = f"involvedObject.name={recycler_key(volume.metadata.name).name}"
        try:
            async with aclosing(self._client.watch(EVENTS, NAMESPACE, fields=fields)) as stream:  # type: ignore[type-var]
                async for event in stream:
                    if event.kind == "ADDED":
                        kind: Literal["Normal", "Warning"] = "Warning" if event.object.type == "Warning" else "Normal"
                        self._tell(EventRecord(volume, kind, "RecyclerPod", f"Recycler pod: {event.object.message}"))
        except ApiError as error:  # the volume is emptied all the same
            log.warning("events of a recycler are not told", extra={"volume": volume.metadata.name, "error": error.message})
