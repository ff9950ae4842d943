"""Bootstrap tokens: expiry, and signatures as `kubeadm join` checks them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import CONFIG_MAPS, NAMESPACES, SECRETS
from sampan.api.scalars import Time
from sampan.controllers.bootstraptokens.controller import BootstrapSigner, TokenCleaner
from sampan.testing.datadriven import transcripts


def build(w: World) -> list[Any]:
    return [TokenCleaner(w.context), BootstrapSigner(w.context)]


async def token(w: World, name: str = "abcdef", seconds: float | None = None, **data: str) -> None:
    data = {"token-id": name, "token-secret": "0123456789abcdef", "usage-bootstrap-signing": "true", **data}
    if seconds is not None:
        data["expiration"] = Time.of(w.clock.now() + timedelta(seconds=seconds))
    await w.make(SECRETS, {"metadata": {"name": f"bootstrap-token-{name}"}, "type": "bootstrap.kubernetes.io/token",
                           "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}}, "kube-system")
    await w.settle()


async def info(w: World, content: str | None = "apiVersion: v1\n") -> None:
    if await w.get(NAMESPACES, "kube-public") is None:
        await w.make(NAMESPACES, {"metadata": {"name": "kube-public"}})
    await w.make(CONFIG_MAPS, {"metadata": {"name": "cluster-info"}, "data": {"kubeconfig": content} if content else {"other": "x"}}, "kube-public")
    await w.settle()


async def data(w: World) -> dict[str, str]:
    return dict((await w.get(CONFIG_MAPS, "cluster-info", "kube-public")).data)


def test_a_token_goes_when_it_expires() -> None:
    async def scenario(w: World) -> None:
        await token(w, seconds=3600)
        await w.clock.advance(3590)
        await w.settle()
        assert await w.get(SECRETS, "bootstrap-token-abcdef", "kube-system") is not None
        await w.clock.advance(11)
        await w.settle()
        assert await w.get(SECRETS, "bootstrap-token-abcdef", "kube-system") is None

    run(build, scenario)


def test_one_without_an_end_stays_and_one_with_a_senseless_end_goes() -> None:
    async def scenario(w: World) -> None:
        await token(w)
        await token(w, "senses", expiration="tomorrow")
        await w.clock.advance(3600)
        await w.settle()
        assert await w.get(SECRETS, "bootstrap-token-abcdef", "kube-system") is not None
        assert await w.get(SECRETS, "bootstrap-token-senses", "kube-system") is None

    run(build, scenario)


def test_who_knows_the_token_can_check_the_signature() -> None:
    async def scenario(w: World) -> None:
        await info(w)
        await token(w)
        head, middle, mac = (await data(w))["jws-kubeconfig-abcdef"].split(".")
        signed = f"{head}.{base64.urlsafe_b64encode(b'apiVersion: v1' + bytes([10])).rstrip(b'=').decode()}"
        wanted = hmac.digest(b"0123456789abcdef", signed.encode(), hashlib.sha256)
        assert middle == ""
        assert base64.urlsafe_b64decode(mac + "=" * (-len(mac) % 4)) == wanted
        assert base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)) == b'{"alg":"HS256","kid":"abcdef"}'

    run(build, scenario)


def test_signatures_follow_content_and_tokens() -> None:
    async def scenario(w: World) -> None:
        await info(w)
        await token(w, seconds=100)
        await token(w, "second", **{"usage-bootstrap-signing": "false"})
        before = await data(w)
        assert set(before) == {"kubeconfig", "jws-kubeconfig-abcdef"}
        await w.patch(CONFIG_MAPS, "cluster-info", {"data": {"kubeconfig": "other"}}, "kube-public")
        await w.settle()
        assert (await data(w))["jws-kubeconfig-abcdef"] != before["jws-kubeconfig-abcdef"]
        await w.clock.advance(101)
        await w.settle()
        assert set(await data(w)) == {"kubeconfig"}

    run(build, scenario)


def test_a_map_without_a_kubeconfig_is_left_alone() -> None:
    async def scenario(w: World) -> None:
        await info(w, None)
        await token(w)
        assert await data(w) == {"other": "x"}

    run(build, scenario)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [TokenCleaner(world.context), BootstrapSigner(world.context)])
