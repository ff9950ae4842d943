"""A client that follows its kubeconfig: who renews the file renews the client.

The file is looked at again and again, which tells of replacement and of writing alike, on every file system.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sampan.aio.clock import AsyncClock
from sampan.client import kubeconfig
from sampan.client.remote import RemoteClient
from sampan.lib.errors import ConfigError

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
REFERENCES = ("certificate-authority:", "client-certificate:", "client-key:")


class Follower:
    """Gives one client what its file says."""

    def __init__(self, client: RemoteClient, path: Path, clock: AsyncClock, *, seconds: float = LOOK_SECONDS) -> None:
        self._client, self._path, self._clock, self._seconds = client, path, clock, seconds
        self._seen: tuple[int, int, int] | None = None
        self._refers = False  # to other files, which may change without it
        self._broken = False

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            await self.look()
            await self._clock.sleep(self._seconds)

    async def look(self) -> bool:
        """Renew the client if the file says something else; whether it does."""
        try:
            now = self._path.stat()
            mark = (now.st_mtime_ns, now.st_ino, now.st_size)
            if mark == self._seen and not self._refers:
                return False
            self._refers = any(word in self._path.read_text() for word in REFERENCES)
            access = kubeconfig.read(self._path)
            self._seen = mark
            if access == self._client.access:
                return False
            await self._client.renew(access)
        except (ConfigError, OSError) as error:
            # whoever writes it may not be ready; what the client has may last longer than the file is broken
            if not self._broken:
                log.warning("the kubeconfig can't be followed, going on with what it said before: %s", error, extra={"path": str(self._path)})
            self._broken = True
            return False
        self._broken = False
        log.info("the kubeconfig has changed, using it from now on", extra={"path": str(self._path)})
        return True
