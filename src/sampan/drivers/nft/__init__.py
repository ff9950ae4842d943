"""nftables: one atomic batch of commands through the `nft` program. Source: nft(8)."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterable

from sampan.lib.errors import MissingPart, SampanError

SECONDS = 30.0


class NftFailed(SampanError):
    """The kernel or the program refused a batch; nothing of it was applied."""


def program() -> str:
    """The path of `nft`.

    Raises:
        MissingPart: It is not installed.
    """
    found = shutil.which("nft") or shutil.which("nft", path="/usr/sbin:/sbin")
    if found is None:
        raise MissingPart("nftables is not installed", hint="apt-get install nftables")
    return found


async def apply(commands: Iterable[str]) -> None:
    """Apply all commands or none.

    Raises:
        NftFailed: With what `nft` said.
        MissingPart: There is no `nft`.
    """
    batch = "\n".join(commands)
    if not batch:
        return
    process = await asyncio.create_subprocess_exec(
        program(), "-f", "-", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(SECONDS):
            _, said = await process.communicate(f"{batch}\n".encode())
    except (TimeoutError, asyncio.CancelledError) as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            raise NftFailed(f"nft did not end within {SECONDS:g} s") from error
        raise
    if process.returncode:
        raise NftFailed(f"nft refused a batch: {said.decode(errors='replace').strip()[:2000]}")
