"""A `sampan server` that is killed and started again on the same folder and port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path

from sampan.api.errors import ApiError
from sampan.client import kubeconfig
from sampan.client.remote import RemoteClient
from sampan.testing.ports import free_port
from sampan.testing.waiting import PATIENCE_SECONDS


class Server:
    """`start` returns when it is ready; `kill` is kill -9."""

    def __init__(self, data: Path, *flags: str) -> None:
        self._data, self._flags, self._port = data, flags, free_port()
        self._process: asyncio.subprocess.Process | None = None
        self._client: RemoteClient | None = None

    @property
    def client(self) -> RemoteClient:
        """Valid until the next `kill`."""
        assert self._client is not None
        return self._client

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    async def launch(self) -> None:
        """Begin to start."""
        with (self._data / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "sampan", "server", "--data", str(self._data), "--port", str(self._port), *self._flags, stderr=log)

    async def start(self) -> None:
        await self.launch()
        await self.ready()

    async def ready(self) -> None:
        """Wait until it answers.

        Raises:
            AssertionError: It ended, or takes too long.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._process is not None and self._process.returncode is None:
                    if await self._answers():
                        return
                    await asyncio.sleep(0.02)
        raise AssertionError(f"the server does not serve: {(self._data / 'log').read_text()[-3000:]}")

    async def _answers(self) -> bool:
        if self._client is None:
            if not (self._data / "admin.kubeconfig").exists():
                return False
            self._client = RemoteClient(kubeconfig.read(self._data / "admin.kubeconfig"))
        try:
            return (await self._client.raw("GET", "/readyz")).code == 200
        except ApiError:
            return False

    async def dies_within(self, seconds: float) -> None:
        """Kill it after so long, whatever it does then."""
        assert self._process is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
            raise AssertionError(f"the server ended by itself: {(self._data / 'log').read_text()[-3000:]}")
        await self.kill()

    async def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            await process.wait()
        if self._client is not None:
            await self._client.close()
            self._client = None
