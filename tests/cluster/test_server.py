"""`sampan server` as a process: what it writes, what it refuses, and that it keeps what it acknowledged."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sampan.api.errors import ServiceUnavailable
from sampan.api.resources import CONFIG_MAPS
from sampan.cli.main import main
from sampan.client import kubeconfig
from sampan.client.remote import RemoteClient
from sampan.testing.client import config_map
from sampan.testing.ports import free_port
from sampan.testing.waiting import PATIENCE_SECONDS


@asynccontextmanager
async def running(data: Path, port: int, *more: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sampan", "server", "--data", str(data), "--port", str(port), *more,
        stderr=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONDONTWRITEBYTECODE": ""})
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ready(data: Path) -> RemoteClient:
    """A client of the server in `data`, once it answers."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (data / "admin.kubeconfig").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.02)
        client = RemoteClient(kubeconfig.read(data / "admin.kubeconfig"))
        while True:
            try:
                if (await client.raw("GET", "/readyz")).code == 200:
                    return client
            except ServiceUnavailable:
                await asyncio.sleep(0.02)


@pytest.mark.slow
def test_what_was_acknowledged_survives_a_kill_and_a_restart(tmp_path: Path) -> None:
    async def test() -> None:
        port = free_port()
        async with running(tmp_path, port) as process:
            client = await ready(tmp_path)
            made = await client.create(CONFIG_MAPS, config_map("a", k="v"))
            process.kill()
            await process.wait()
            await client.close()
        async with running(tmp_path, port) as process:
            client = await ready(tmp_path)
            assert await client.get(CONFIG_MAPS, "a", "default") == made
            await client.close()
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), PATIENCE_SECONDS) == 0
        assert (tmp_path / "ca.crt").read_bytes().startswith(b"-----BEGIN CERTIFICATE")
        assert stat.S_IMODE((tmp_path / "admin.kubeconfig").stat().st_mode) == 0o600

    asyncio.run(test())


@pytest.mark.slow
def test_a_token_file_lets_its_users_in(tmp_path: Path) -> None:
    async def test() -> None:
        (tmp_path / "tokens.csv").write_text('secret,alice,u1,"system:masters"\n')
        port = free_port()
        async with running(tmp_path / "data", port, "--store", "memory", "--token-file", str(tmp_path / "tokens.csv")):
            admin = await ready(tmp_path / "data")
            alice = RemoteClient(kubeconfig.Access(admin.access.server, admin.access.ca, token="secret"))
            assert (await alice.list(CONFIG_MAPS)).revision
            await admin.close()
            await alice.close()

    asyncio.run(test())


def test_a_port_in_use_is_one_line_and_a_hint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["server", "--data", str(tmp_path), "--port", str(port)]) == 1
    assert capsys.readouterr().err == (
        f"sampan: port {port} of 127.0.0.1 is in use\n  stop what listens there, or choose another with --port\n")


def test_bad_settings_are_told_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    for arguments, words in (
        (["--data", str(tmp_path / "file" / "x")], "can't be made"),
        (["--data", str(tmp_path), "--store", "floppy"], 'there is no store "floppy"'),
        (["--data", str(tmp_path), "--token-file", str(tmp_path / "none.csv")], "none.csv"),
    ):
        assert main(["server", "--port", str(free_port()), *arguments]) == 1
        said = capsys.readouterr().err
        assert (words in said, "Traceback" in said) == (True, False)
