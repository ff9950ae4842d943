"""Addresses, errors in etcd's words, TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock
from sampan.lib import pki
from sampan.lib.errors import ConfigError
from sampan.store.base import Put, StoreFull, StoreRefused, StoreUnavailable
from sampan.store.etcd import EtcdSettings, EtcdStore
from sampan.store.etcdclient import (
    Endpoints,
    EtcdTls,
    LeaseGone,
    RevisionCompacted,
    RevisionInFuture,
    translated,
)
from sampan.testing.etcd import running_etcd


@pytest.mark.parametrize(("url", "members"), [
    ("etcd://127.0.0.1:2379", (("127.0.0.1", 2379),)),
    ("etcd://a,b:1", (("a", 2379), ("b", 1))),
    ("etcd://[::1]:7/", (("::1", 7),)),
])
def test_members_are_hosts_with_ports(url: str, members: tuple[tuple[str, int], ...]) -> None:
    assert Endpoints.parse(url).members == members


@pytest.mark.parametrize("url", ["etcd://", "http://a", "etcd://a:x", "etcd://a:1,", "etcd://u:p@a:1", "etcd://a/b"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="no address of etcd"):
        Endpoints.parse(url)


def test_every_member_is_a_target_of_its_own() -> None:
    assert Endpoints.parse("etcd://127.0.0.1:1,[::1]:2").targets() == ["ipv4:127.0.0.1:1", "ipv6:[::1]:2"]


@pytest.mark.parametrize(("code", "details", "kind"), [
    ("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted", RevisionCompacted),
    ("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision", RevisionInFuture),
    ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", StoreFull),
    ("NOT_FOUND", "etcdserver: requested lease not found", LeaseGone),
    ("INVALID_ARGUMENT", "etcdserver: request is too large", StoreRefused),
    ("UNAVAILABLE", "etcdserver: leader changed", StoreUnavailable),
    ("DEADLINE_EXCEEDED", "Deadline Exceeded", StoreUnavailable),
    ("UNKNOWN", "whatever", StoreUnavailable),
])
def test_errors_are_the_stores(code: str, details: str, kind: type[Exception]) -> None:
    assert type(translated(code, details, "here")) is kind


def certificates(folder: Path) -> tuple[EtcdTls, list[str]]:
    """What we and etcd hold, both of one authority."""
    now = SystemClock().now()
    ca = pki.new_ca("etcd", now=now)
    for name, usages in (("server", ("server auth", "client auth")), ("client", ("client auth",))):
        pair = pki.issue(ca, pki.Names(name, addresses=("127.0.0.1",) if name == "server" else ()), usages, now=now)
        (folder / f"{name}.crt").write_bytes(pair.certificate)
        (folder / f"{name}.key").write_bytes(pair.key)
    (folder / "ca.crt").write_bytes(ca.certificate)
    flags = ["--cert-file", f"{folder}/server.crt", "--key-file", f"{folder}/server.key", "--client-cert-auth",
             "--trusted-ca-file", f"{folder}/ca.crt"]
    return EtcdTls(folder / "ca.crt", folder / "client.crt", folder / "client.key"), flags


@pytest.mark.e2e
def test_etcd_with_tls_takes_only_who_has_a_certificate(tmp_path: Path) -> None:
    tls, flags = certificates(tmp_path)

    async def body() -> None:
        with running_etcd(flags) as etcd:
            store = await EtcdStore.open(etcd.url, SystemClock(), EtcdSettings(tls=tls))
            assert await store.transact([Put("/a", b"1")]) == store.revision
            await store.close()
            for wrong in (EtcdTls(tls.ca), EtcdTls()):
                with pytest.raises(StoreUnavailable):
                    await EtcdStore.open(etcd.url, SystemClock(), EtcdSettings(tls=wrong, timeout_seconds=1))

    asyncio.run(body())


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(ConfigError, match=r"none\.crt"):
            await EtcdStore.open("etcd://127.0.0.1:1", SystemClock(), EtcdSettings(tls=EtcdTls(ca=tmp_path / "none.crt")))

    asyncio.run(body())
