"""Calls to etcd's v3 API over gRPC: the channel, deadlines, what may be tried again, and translated errors.

Leaves what is read and written to `etcd`, the stream of changes to `etcdfeed`. `grpc` is imported when a client is made.

A read is tried again until its deadline. A write is sent once: gRPC holds it back while there is no connection, and
what fails on its way is `StoreUnavailable`, for nobody can know whether etcd has written it.

Source: etcd `api/v3/v3rpc/rpctypes/error.go` (the words), `client/v3/retry.go` (what may be retried).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sampan.lib.errors import ConfigError
from sampan.lib.grpctable import Table
from sampan.store.base import StoreError, StoreFull, StoreRefused, StoreUnavailable

TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = (0.02, 0.5)
# a member that hangs is not worth a read's whole time: the next one is asked
ATTEMPT_PART = 0.3
MOST_MESSAGE_BYTES = 64 << 20
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 30_000, 10_000
# a member that has lost its leader says so at once instead of answering late or never
METADATA = (("hasleader", "true"),)


class RevisionCompacted(StoreError):
    """etcd has forgotten the revision; it doesn't say what it still has."""


class RevisionInFuture(StoreError):
    """etcd has not given the revision yet."""


class LeaseGone(StoreError):
    """The lease has expired or was revoked; nothing was written."""


@dataclass(frozen=True)
class EtcdTls:
    """Files in PEM: the authority that etcd's certificate must be of, and who we are."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __bool__(self) -> bool:
        return self.ca is not None or self.certificate is not None or self.key is not None


@dataclass(frozen=True)
class Endpoints:
    """Where etcd's members are."""

    members: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, url: str) -> Endpoints:
        """`etcd://HOST:PORT[,HOST:PORT]`; the port is 2379 where there is none.

        Raises:
            ConfigError: It is something else.
        """
        scheme, _, rest = url.partition("://")
        members = []
        for part in rest.rstrip("/").split(","):
            try:
                found = urlsplit(f"//{part}")
                host, port = found.hostname, found.port or 2379
            except ValueError:
                host, port = None, 0
            if scheme != "etcd" or not host or found.path or found.username or found.query:
                raise ConfigError(f'"{url}" is no address of etcd', hint="write etcd://HOST:PORT[,HOST:PORT]")
            members.append((host, port))
        return cls(tuple(members))

    def __str__(self) -> str:
        return ",".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.members)

    def target(self) -> str:
        """For gRPC, which takes several addresses by number only.

        Raises:
            ConfigError: No name is known.
        """
        addresses = []
        for host, port in self.members:
            try:
                answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConfigError(f"the etcd host {host} is not known: {error.strerror}") from None
            addresses.append((ip_address(answers[0][4][0]), port))
        if all(address.version == 4 for address, _ in addresses):
            return "ipv4:" + ",".join(f"{address}:{port}" for address, port in addresses)
        # one target is of one family
        return "ipv6:" + ",".join(f"[{address if address.version == 6 else f'::ffff:{address}'}]:{port}" for address, port in addresses)


@cache
def table() -> Table:
    """Etcd's messages."""
    return Table.load("sampan.store", "etcd.json")


def message(name: str, /, **fields: Any) -> Any:
    """A message of `etcdserverpb`."""
    return table().message(f"etcdserverpb.{name}")(**fields)


class EtcdClient:
    """One cluster. Make it inside the loop that uses it."""

    def __init__(self, endpoints: Endpoints, tls: EtcdTls = EtcdTls(), *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        import grpc
        import grpc.aio

        self.endpoints, self.timeout_seconds = endpoints, timeout_seconds
        self._rpc_error, self._usage_error = grpc.aio.AioRpcError, grpc.aio.UsageError
        options = [
            ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.keepalive_time_ms", KEEPALIVE_MS),
            ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
            ("grpc.enable_http_proxy", 0),
            ("grpc.use_local_subchannel_pool", 1),
            # every call goes to the next member that is there
            ("grpc.lb_policy_name", "round_robin"),
            ("grpc.default_authority", f"{endpoints.members[0][0]}"),
        ]
        target = endpoints.target()
        if tls:
            credentials = grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.certificate))
            self._channel = grpc.aio.secure_channel(target, credentials, options=options)
        else:
            self._channel = grpc.aio.insecure_channel(target, options=options)
        self._kv = table().service("etcdserverpb.KV", self._channel)
        self._lease = table().service("etcdserverpb.Lease", self._channel)
        self._watch = table().service("etcdserverpb.Watch", self._channel)

    async def range(self, **fields: Any) -> Any:
        """A RangeResponse, linearizable. Raises StoreError."""
        request = message("RangeRequest", **fields)
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self.timeout_seconds, RETRY_SECONDS[0]
        while True:
            try:
                return await self._call(self._kv.Range, request, self._attempt_seconds(deadline - loop.time()))
            except StoreUnavailable:
                if loop.time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])

    def _attempt_seconds(self, left: float) -> float:
        return max(min(left, self.timeout_seconds * ATTEMPT_PART), 0.001)

    async def revision(self) -> int:
        """The newest revision that any member has acknowledged before this was called."""
        response = await self.range(key=b"\0", count_only=True)
        return int(response.header.revision)

    async def txn(self, compares: Iterable[Any], success: Iterable[Any], failure: Iterable[Any]) -> Any:
        """A TxnResponse; sent once. Raises StoreError."""
        request = message("TxnRequest", compare=compares, success=success, failure=failure)
        return await self._call(self._kv.Txn, request, self.timeout_seconds)

    async def compact(self, revision: int) -> None:
        """Forget what is older; again is RevisionCompacted."""
        await self._call(self._kv.Compact, message("CompactionRequest", revision=revision), self.timeout_seconds)

    async def grant(self, ttl_seconds: int) -> int:
        """Make a lease; its number. One that was made for nothing goes by itself."""
        response = await self._call(self._lease.LeaseGrant, message("LeaseGrantRequest", TTL=ttl_seconds), self.timeout_seconds)
        return int(response.ID)

    async def watch(self, start_revision: int) -> AsyncGenerator[Any, None]:
        """WatchResponses about all keys from a revision on, `created` first. Raises StoreUnavailable when it breaks."""
        create = message("WatchCreateRequest", key=b"\0", range_end=b"\0", start_revision=start_revision, prev_kv=True, fragment=True)
        stream = self._watch.Watch(metadata=METADATA, wait_for_ready=True)
        try:
            await stream.write(message("WatchRequest", create_request=create))
            while response := await stream.read():
                yield response
        except self._rpc_error as error:
            raise self._translated(error) from error
        except (self._usage_error, asyncio.InvalidStateError) as error:
            raise StoreUnavailable(f"the watch of etcd at {self.endpoints} has ended") from error
        finally:
            stream.cancel()
        raise StoreUnavailable(f"etcd at {self.endpoints} has ended the watch")

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _call(self, method: Any, request: Any, timeout_seconds: float) -> Any:
        try:
            return await method(request, timeout=timeout_seconds, metadata=METADATA, wait_for_ready=True)
        except self._rpc_error as error:
            raise self._translated(error) from error
        except self._usage_error as error:
            raise StoreUnavailable("the store has been closed") from error

    def _translated(self, error: Any) -> StoreError:
        return translated(error.code().name, error.details() or "", str(self.endpoints))


def translated(code: str, details: str, where: str) -> StoreError:
    """What gRPC's code and etcd's words are to callers of a store."""
    if code == "OUT_OF_RANGE" and "compacted" in details:
        return RevisionCompacted(details)
    if code == "OUT_OF_RANGE" and "future" in details:
        return RevisionInFuture(details)
    if code == "RESOURCE_EXHAUSTED" and "space exceeded" in details:
        return StoreFull(f"etcd at {where} has no space left: {details}")
    if code == "NOT_FOUND" and "lease" in details:
        return LeaseGone(details)
    if code == "INVALID_ARGUMENT":
        return StoreRefused(f"etcd at {where} has refused the request: {details}")
    if code == "DEADLINE_EXCEEDED":
        return StoreUnavailable(f"etcd at {where} didn't answer in time")
    return StoreUnavailable(f"etcd at {where}: {details or code}")


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the file {path} for etcd can't be read: {error.strerror}") from None
