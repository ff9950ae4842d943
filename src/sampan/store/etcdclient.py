"""Calls to etcd's v3 API over gRPC: deadlines, what may be tried again, and translated errors.

Leaves what is read and written to `etcd`, the stream of changes to `etcdfeed`, which member is asked to `etcdmembers`.
`grpc` is imported when a client is made.

A read is tried again until its deadline. A write is sent once: it is held back while there is no connection, and
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
from sampan.store.etcdmembers import Member, Members

TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = (0.02, 0.5)
# a member that hangs is not worth a read's whole time: the next one is asked
ATTEMPT_PART = 0.3
MOST_MESSAGE_BYTES = 64 << 20
KEEPALIVE_MS, KEEPALIVE_TIMEOUT_MS = 30_000, 10_000
OPTIONS = (
    ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
# a member that has lost its leader says so at once instead of answering late or never
METADATA = (("hasleader", "true"),)
FAILURES = frozenset(("DEADLINE_EXCEEDED", "UNAVAILABLE", "CANCELLED", "UNKNOWN", "INTERNAL"))
"""gRPC's codes for what another member may do better."""


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

    def targets(self) -> list[str]:
        """For gRPC, one a member, by number: a name that nobody knows is told now.

        Raises:
            ConfigError: No name is known.
        """
        found = []
        for host, port in self.members:
            try:
                answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except OSError as error:
                raise ConfigError(f"the etcd host {host} is not known: {error.strerror}") from None
            address = ip_address(answers[0][4][0])
            found.append(f"ipv4:{address}:{port}" if address.version == 4 else f"ipv6:[{address}]:{port}")
        return found


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
        credentials = grpc.ssl_channel_credentials(_read(tls.ca), _read(tls.key), _read(tls.certificate)) if tls else None
        made = []
        for (host, _), target in zip(endpoints.members, endpoints.targets(), strict=True):
            options = [*OPTIONS, ("grpc.default_authority", host)]
            channel = grpc.aio.secure_channel(target, credentials, options=options) if credentials is not None else \
                grpc.aio.insecure_channel(target, options=options)
            made.append(Member(channel, table()))
        self._members = Members(made)

    async def range(self, **fields: Any) -> Any:
        """A RangeResponse, linearizable. Raises StoreError."""
        request = message("RangeRequest", **fields)
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self.timeout_seconds, RETRY_SECONDS[0]
        while True:
            try:
                return await self._call("KV", "Range", request, self._attempt_seconds(deadline - loop.time()))
            except StoreUnavailable:
                if loop.time() + pause >= deadline:
                    raise
                await asyncio.sleep(pause)
                pause = min(pause * 2, RETRY_SECONDS[1])

    def _attempt_seconds(self, left: float) -> float:
        return max(min(left, self.attempt_seconds), 0.001)

    @property
    def attempt_seconds(self) -> float:
        """How long one member is waited for where another may be asked."""
        return self.timeout_seconds * ATTEMPT_PART

    async def revision(self) -> int:
        """The newest revision that any member has acknowledged before this was called."""
        response = await self.range(key=b"\0", count_only=True)
        return int(response.header.revision)

    async def txn(self, compares: Iterable[Any], success: Iterable[Any], failure: Iterable[Any]) -> Any:
        """A TxnResponse; sent once. Raises StoreError."""
        request = message("TxnRequest", compare=compares, success=success, failure=failure)
        return await self._call("KV", "Txn", request, self.timeout_seconds)

    async def compact(self, revision: int) -> None:
        """Forget what is older; again is RevisionCompacted."""
        await self._call("KV", "Compact", message("CompactionRequest", revision=revision), self.timeout_seconds)

    async def grant(self, ttl_seconds: int) -> int:
        """Make a lease; its number. One that was made for nothing goes by itself."""
        response = await self._call("Lease", "LeaseGrant", message("LeaseGrantRequest", TTL=ttl_seconds), self.timeout_seconds)
        return int(response.ID)

    async def watch(self, start_revision: int) -> AsyncGenerator[Any, None]:
        """WatchResponses about all keys from a revision on, `created` first. Raises StoreUnavailable when it breaks."""
        create = message("WatchCreateRequest", key=b"\0", range_end=b"\0", start_revision=start_revision, prev_kv=True, fragment=True)
        member = await self._member(self.timeout_seconds)
        stream = member.services["Watch"].Watch(metadata=METADATA)
        try:
            # a member that hangs takes the request and says nothing
            async with asyncio.timeout(self.attempt_seconds):
                await stream.write(message("WatchRequest", create_request=create))
                response = await stream.read()
            while response:
                yield response
                response = await stream.read()
        except TimeoutError:
            self._members.failed(member)
            raise StoreUnavailable(f"etcd at {self.endpoints} doesn't begin the watch") from None
        except asyncio.CancelledError:
            # whoever waited for what this watch should have told has lost patience
            self._members.failed(member)
            raise
        except self._rpc_error as error:
            self._members.failed(member)
            raise self._translated(error) from error
        except (self._usage_error, asyncio.InvalidStateError) as error:
            raise StoreUnavailable(f"the watch of etcd at {self.endpoints} has ended") from error
        finally:
            stream.cancel()
        raise StoreUnavailable(f"etcd at {self.endpoints} has ended the watch")

    async def close(self) -> None:
        """Close the connections."""
        await self._members.close()

    async def _member(self, seconds: float) -> Member:
        member = await self._members.wait(seconds)
        if member is None:
            raise StoreUnavailable(f"etcd at {self.endpoints} can't be reached")
        return member

    async def _call(self, service: str, method: str, request: Any, timeout_seconds: float) -> Any:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        try:
            member = await self._member(timeout_seconds)
            call = getattr(member.services[service], method)
            try:
                return await call(request, timeout=max(deadline - loop.time(), 0.001), metadata=METADATA)
            except self._rpc_error as error:
                if error.code().name in FAILURES:
                    self._members.failed(member)
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
