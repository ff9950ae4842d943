"""Tokens in Secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import SECRETS, SERVICE_ACCOUNTS
from sampan.controllers.tokens.controller import TokensController
from sampan.controllers.tokens.sign import signer
from sampan.lib import pki
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [TokensController(w.context, lambda account, secret: f"token of {account.metadata.name}", b"PEM")])


def test_a_token_secret_is_filled_and_goes_with_its_account() -> None:
    async def scenario(world: World) -> None:
        await world.make(SERVICE_ACCOUNTS, {"metadata": {"name": "bot"}})
        await world.make(SECRETS, {"metadata": {"name": "t", "annotations": {"kubernetes.io/service-account.name": "bot"}},
                                   "type": "kubernetes.io/service-account-token"})
        await world.settle()
        data = (await world.get(SECRETS, "t")).data
        assert set(data) == {"ca.crt", "namespace", "token"}
        assert data["token"].count(b".") == 2
        await world.delete(SERVICE_ACCOUNTS, "bot")
        await world.settle()
        assert await world.get(SECRETS, "t") is None

    run(lambda world: [TokensController(world.context, signer(pki.new_signing_key()), b"a CA")], scenario)
