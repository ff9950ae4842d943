"""One server's certificates and keys: renewed and told, given by files, shared through a store."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock, VirtualClock
from sampan.aio.tasks import Tasks
from sampan.cluster.credentials import PREFIX, Credentials, CredentialSettings, Current, GivenFiles
from sampan.lib import pki
from sampan.lib.errors import ConfigError
from sampan.lib.pkirotate import Lifetimes, blocks
from sampan.store.base import Put
from sampan.store.etcd import EtcdStore
from sampan.testing.etcd import running_etcd
from sampan.testing.waiting import PATIENCE_SECONDS

NAMES = pki.server_names(host="box")


def settings(folder: Path, lifetimes: Lifetimes = Lifetimes(), given: GivenFiles = GivenFiles()) -> CredentialSettings:
    return CredentialSettings(lifetimes, given, folder=folder, names=NAMES)


def test_everybody_is_told_in_time_and_in_order(tmp_path: Path) -> None:
    async def test() -> None:
        # given two who want to know
        clock, told = VirtualClock(), list[tuple[str, Current]]()
        credentials = Credentials(settings(tmp_path), clock)

        async def first(current: Current) -> None:
            told.append(("first", current))

        async def second(current: Current) -> None:
            told.append(("second", current))

        credentials.on_change(first)
        credentials.on_change(second)
        before = credentials.current
        # when nothing is due
        assert not await credentials.look()
        # and when something is
        await clock.advance((before.keys.renew_after() - clock.now()).total_seconds() + 1)
        assert await credentials.look()
        # then both are told what is good from then on
        assert [name for name, _ in told] == ["first", "second"]
        assert credentials.current is told[0][1]
        assert pki.facts_of(credentials.current.certificate.read_bytes()).not_after > clock.now() + timedelta(days=300)
        assert credentials.current.digest != before.digest

    asyncio.run(test())


def test_who_could_not_use_it_is_told_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        clock, tries = VirtualClock(), list[int]()
        credentials = Credentials(settings(tmp_path), clock)

        async def told(_: Current) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise ConfigError("no room for the kubeconfig")

        credentials.on_change(told)
        await clock.advance((credentials.current.keys.renew_after() - clock.now()).total_seconds() + 1)
        with pytest.raises(ConfigError):
            await credentials.look()
        assert await credentials.look()
        assert len(tries) == 2

    with caplog.at_level(logging.ERROR):
        asyncio.run(test())


def test_given_files_are_used_and_followed(tmp_path: Path) -> None:
    async def test() -> None:
        # given a certificate, an authority of clients and keys of somebody else
        now = SystemClock().now()
        corp = pki.new_ca("Example Corp", now=now)
        paths = {name: tmp_path / name for name in ("tls.crt", "tls.key", "clients.crt", "sign.key", "old.pub")}
        pair, key, old = pki.issue(corp, NAMES, ("server auth",), now=now), pki.new_signing_key(), pki.public_key(pki.new_signing_key())
        for name, body in (("tls.crt", pair.certificate), ("tls.key", pair.key), ("clients.crt", corp.certificate), ("sign.key", key), ("old.pub", old)):
            paths[name].write_bytes(body)
        given = GivenFiles(paths["clients.crt"], paths["tls.crt"], paths["tls.key"], paths["sign.key"], (paths["sign.key"], paths["old.pub"]))
        credentials = Credentials(settings(tmp_path / "pki", given=given), SystemClock())
        current = credentials.current
        # then they are what is used, beside the cluster's own authority
        assert (current.certificate, current.key, current.signing_key) == (paths["tls.crt"], paths["tls.key"], key)
        assert blocks(current.verifying_keys) == [pki.public_key(key), old]
        assert blocks(current.authorities) == [*blocks(current.keys.ca.bundle.read_bytes()), corp.certificate]
        # and when somebody replaces one, that is used
        paths["old.pub"].write_bytes(pki.public_key(pki.new_signing_key()))
        assert await credentials.look()
        assert old not in blocks(credentials.current.verifying_keys)

    asyncio.run(test())


@pytest.mark.parametrize(("given", "why"), [
    (GivenFiles(certificate=Path("x")), "--tls-cert-file and --tls-private-key-file belong together"),
    (GivenFiles(signing_key=Path("x")), "--service-account-signing-key-file needs --service-account-key-file"),
    (GivenFiles(client_ca=Path("/nowhere")), "--client-ca-file /nowhere can't be read: No such file or directory"),
    (GivenFiles(client_ca=Path(__file__)), "--client-ca-file .*: not a certificate"),
])
def test_what_cannot_be_used_is_told(tmp_path: Path, given: GivenFiles, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        Credentials(settings(tmp_path, given=given), SystemClock())


def test_a_key_of_another_certificate_is_told(tmp_path: Path) -> None:
    now = SystemClock().now()
    pair = pki.issue(pki.new_ca("x", now=now), NAMES, ("server auth",), now=now)
    (tmp_path / "a.crt").write_bytes(pair.certificate)
    (tmp_path / "a.key").write_bytes(pki.new_signing_key())
    with pytest.raises(ConfigError, match="is not the key of"):
        Credentials(settings(tmp_path / "pki", given=GivenFiles(certificate=tmp_path / "a.crt", key=tmp_path / "a.key")), SystemClock())


@pytest.mark.e2e
def test_servers_on_one_store_believe_what_any_of_them_signs(tmp_path: Path) -> None:
    async def test() -> None:
        clock = SystemClock()
        with running_etcd() as etcd:
            async with AsyncExitStack() as stack, Tasks() as tasks:
                # given two servers, each with keys of its own
                made: list[Credentials] = []
                for name in ("a", "b"):
                    store = await EtcdStore.open(etcd.url, clock)
                    stack.push_async_callback(store.close)
                    one = Credentials(settings(tmp_path / name, Lifetimes(signing_key=timedelta(seconds=3))), clock)
                    await one.share(store)
                    tasks.start(one.run(), name)
                    made.append(one)
                first, second = made
                # when they know of one another, and their signing keys have changed since
                signers = {pki.public_key(first.current.signing_key)}
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len(signers) < 2 or not _agree(first, second):
                        await asyncio.sleep(0.05)
                        signers.add(pki.public_key(first.current.signing_key))
                # then each believes the keys and authorities of both, and no private key has left its folder
                for one in made:
                    assert {pki.public_key(other.current.signing_key) for other in made} <= set(blocks(one.current.verifying_keys))
                    assert {other.current.keys.ca.certificate.read_bytes() for other in made} <= set(blocks(one.current.authorities))
                shared = (await store.range(PREFIX)).records
                assert len(shared) == 2
                assert not any(b"PRIVATE" in record.value for record in shared)
                # and what nobody can read is no reason to stop
                await store.transact([Put(f"{PREFIX}x", b"{}")])
                assert _agree(first, second)

    asyncio.run(test())


def _agree(first: Credentials, second: Credentials) -> bool:
    keys = [set(blocks(one.current.verifying_keys)) for one in (first, second)]
    authorities = [set(blocks(one.current.authorities)) for one in (first, second)]
    return keys[0] == keys[1] and authorities[0] == authorities[1]
