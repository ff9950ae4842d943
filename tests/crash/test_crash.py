"""kill -9 of the server, and of etcd, under write load: no acknowledged write is lost, no revision stands for two things.

A few rounds in `make test`, 200 on each store in `make soak`.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from crash.matrix import Matrix
from crash.process import Server
from sampan.testing.etcd import running_etcd

pytestmark = [pytest.mark.e2e, pytest.mark.soak]
SOAK = bool(os.environ.get("SAMPAN_SOAK"))
ROUNDS = 200 if SOAK else 6
SEED = 20260


def report(matrix: Matrix) -> None:
    print(f"{matrix.model.acknowledged} acknowledged writes, {len(matrix.served)} revisions seen, {dict(matrix.tally)}")  # noqa: T201


async def crash(data: Path, *flags: str) -> Matrix:
    matrix = Matrix(Server(data, *flags), random.Random(SEED))
    try:
        await matrix.run(ROUNDS)
    finally:
        await matrix.server.kill()
        report(matrix)
    return matrix


def test_a_killed_server_on_sqlite_keeps_every_promise(tmp_path: Path) -> None:
    matrix = asyncio.run(crash(tmp_path))
    assert matrix.tally["rounds"] == ROUNDS
    assert matrix.model.acknowledged > ROUNDS * 20


def test_a_killed_server_and_a_killed_etcd_keep_every_promise(tmp_path: Path) -> None:
    async def whole() -> Matrix:
        with running_etcd() as etcd:
            matrix = Matrix(Server(tmp_path, "--store", etcd.url), random.Random(SEED), etcd)
            try:
                await matrix.run(ROUNDS)
            finally:
                await matrix.server.kill()
                report(matrix)
            return matrix

    matrix = asyncio.run(whole())
    assert matrix.tally["rounds"] == ROUNDS
    assert matrix.model.acknowledged > ROUNDS * 20
