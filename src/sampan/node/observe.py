"""What the runtime has of each pod: read when something happened, kept as `SandboxView` and `ContainerView`.

Source: kubelet `pkg/kubelet/pleg` (the evented one).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from sampan.aio.clock import AsyncClock
from sampan.api.core.v1 import Pod
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import NotFound, RuntimeFault
from sampan.node.runtimes.status import Container, ContainerStatus, EventKind, Sandbox, State
from sampan.node.specs import CONTAINER_NAME, POD_UID
from sampan.node.sync import ContainerView, SandboxView

log = logging.getLogger(__name__)

Listed = TypeVar("Listed", Sandbox, Container)
MESSAGE_BYTES, MESSAGE_LINES = 4096, 80
RETRY_SECONDS = 1.0


class Observed(Struct, frozen=True):
    """One pod in the runtime. `old_sandboxes` are those that a newer attempt replaced."""

    sandbox: SandboxView | None = None
    containers: Mapping[str, tuple[ContainerView, ...]] = field(default_factory=dict)
    old_sandboxes: tuple[str, ...] = ()


class Observer:
    """Reads the runtime and follows its events."""

    def __init__(self, runtime: Runtime, *, clock: AsyncClock, changed: Callable[[str], None]) -> None:
        self._runtime, self._clock, self._changed = runtime, clock, changed
        self._ended: dict[str, ContainerStatus] = {}  # exited containers do not change any more
        self._uids: dict[str, str] = {}  # of sandboxes and containers
        self._known: dict[str, set[str]] = {}  # the same turned round
        self._ips: dict[str, tuple[str, ...]] = {}

    async def observe(self, uid: str) -> Observed:
        """The pod as it is now.

        Raises:
            RuntimeFault: The runtime does not answer.
        """
        labels = {POD_UID: uid}
        sandboxes = _newest_first(await self._runtime.list_sandboxes(labels))
        containers = _newest_first(await self._runtime.list_containers(labels=labels))
        views: dict[str, tuple[ContainerView, ...]] = {}
        for container in containers:
            self._know(container.id, uid)
            view = await self._view(container)
            if view is not None:
                views[view.name] = (*views[view.name], view) if view.name in views else (view,)
        for sandbox in sandboxes:
            self._know(sandbox.id, uid)
        current = await self._sandbox(sandboxes[0]) if sandboxes else None
        return Observed(current, views, tuple([s.id for s in sandboxes[1:]]))

    async def begun(self, uid: str, sandbox_id: str) -> Observed:
        """A pod of which there was nothing before its sandbox was made just now: only that is asked for.

        Raises:
            RuntimeFault: The runtime does not answer.
        """
        self._know(sandbox_id, uid)
        try:
            status = await self._runtime.sandbox_status(sandbox_id)
        except NotFound:
            return Observed()
        if status.sandbox.ready:
            self._ips[sandbox_id] = status.ips
        return Observed(SandboxView(sandbox_id, status.sandbox.ready, status.sandbox.attempt, status.ips))

    def _know(self, id: str, uid: str) -> None:
        if id not in self._uids:
            self._uids[id] = uid
            self._known.setdefault(uid, set()).add(id)

    async def _sandbox(self, sandbox: Sandbox) -> SandboxView | None:
        if sandbox.ready and sandbox.id not in self._ips:
            try:
                self._ips[sandbox.id] = (await self._runtime.sandbox_status(sandbox.id)).ips
            except NotFound:
                return None
        return SandboxView(sandbox.id, sandbox.ready, sandbox.attempt, self._ips.get(sandbox.id, ()))

    async def _view(self, container: Container) -> ContainerView | None:
        status = self._ended.get(container.id)
        if status is None:
            try:
                status = await self._runtime.container_status(container.id)
            except NotFound:
                return None
            if status.container.state is State.EXITED:
                self._ended[container.id] = status
        seen = status.container
        return ContainerView(
            name=seen.labels.get(CONTAINER_NAME, seen.name), id=seen.id, sandbox_id=seen.sandbox_id, attempt=seen.attempt,
            state=seen.state.value, created=seen.created_at,
            started=status.started_at, finished=status.finished_at, exit_code=status.exit_code, reason=status.reason,
            message=status.message, image=seen.image, image_id=seen.image_id)

    async def uids(self) -> set[str]:
        """Every pod of which the runtime has something."""
        found = set()
        for sandbox in await self._runtime.list_sandboxes():
            if uid := sandbox.labels.get(POD_UID, ""):
                self._know(sandbox.id, uid)
                found.add(uid)
        return found

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for known in self._known.pop(uid, ()):
            del self._uids[known]
            self._ended.pop(known, None)
            self._ips.pop(known, None)

    async def run(self) -> None:
        """Follow the runtime's events until cancelled; `changed` hears the uid of each pod concerned."""
        while True:
            try:
                async for event in self._runtime.events():
                    if event.kind is EventKind.RELIST:
                        await self._relist()
                    elif uid := self._uids.get(event.id) or self._uids.get(event.sandbox_id):
                        self._changed(uid)
                    elif event.kind is not EventKind.DELETED:
                        await self._relist()
            except RuntimeFault as error:
                log.warning("the runtime's events ended", extra={"error": str(error)})
            await self._clock.sleep(RETRY_SECONDS)

    async def _relist(self) -> None:
        try:
            for uid in await self.uids():
                self._changed(uid)
        except RuntimeFault as error:
            log.warning("the runtime cannot be listed", extra={"error": str(error)})


def _newest_first(found: Sequence[Listed]) -> Sequence[Listed]:
    return sorted(found, key=lambda one: (one.attempt, one.created_at), reverse=True) if len(found) > 1 else found


def _beginning(path: Path) -> bytes:
    """The first bytes of a file that a container may have made as long as the disk is."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(MESSAGE_BYTES)


def log_tail(path: Path) -> bytes:
    """What a container printed last, from its log in the CRI's format."""
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64 * 1024))
        lines = file.read().splitlines()
    parts = [line.split(b" ", 3) for line in lines if line.count(b" ") >= 3]
    return b"".join(text + (b"" if tag == b"P" else b"\n") for _time, _stream, tag, text in parts)


def with_messages(observed: Observed, pod: Pod, message_file: Callable[[str, str], Path], log_tail: Callable[[ContainerView], bytes]) -> Observed:
    """Termination messages put in, from the file that the container wrote or, where it asks for that, its log's end."""
    if all(view.state != "exited" for views in observed.containers.values() for view in views):
        return observed
    specs = {c.name: c for c in [*pod.spec.initContainers, *(pod.spec.containers or ()), *pod.spec.ephemeralContainers]}

    def told(view: ContainerView) -> ContainerView:
        if view.state != "exited" or view.name not in specs:
            return view
        data = _beginning(message_file(view.name, str(view.attempt)))
        if not data and specs[view.name].terminationMessagePolicy == "FallbackToLogsOnError" and view.exit_code:
            data = b"".join(log_tail(view).splitlines(keepends=True)[-MESSAGE_LINES:])[-2048:]
        return replace(view, message=data.decode(errors="replace")) if data else view

    return replace(observed, containers={name: tuple(map(told, views)) for name, views in observed.containers.items()})
