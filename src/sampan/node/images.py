"""Pulling images: policy, one pull at a time an image, back-off after a failure, credentials.

Source: kubelet `pkg/kubelet/images/image_manager.go`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import Container, Pod, Secret
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.runtimes.spec import Credential
from sampan.node.runtimes.status import Image

log = logging.getLogger(__name__)

FIRST_BACKOFF_SECONDS, MOST_BACKOFF_SECONDS = 10.0, 300.0


@dataclass(frozen=True)
class ImageWait:
    """The container waits: `reason` and `message` for its status, `again_seconds` when to ask again (None: a pull
    that runs will tell).
    """

    reason: str
    message: str
    again_seconds: float | None = None


@dataclass
class _Failure:
    reason: str
    message: str
    backoff_seconds: float
    until: float


def with_tag(image: str) -> str:
    """The name with `:latest` where it has neither tag nor digest."""
    last = image.rsplit("/", 1)[-1]
    return image if ":" in last or "@" in last else f"{image}:latest"


def credentials_for(image: str, secrets: Iterable[Secret | None]) -> Credential | None:
    """The credential of the first pull secret that names the image's registry."""
    first = image.split("/", 1)[0]
    registry = first if "/" in image and ("." in first or ":" in first or first == "localhost") else "docker.io"
    for secret in secrets:
        if secret is None:
            continue
        for server, entry in _auths(secret).items():
            host = server.removeprefix("https://").removeprefix("http://").split("/", 1)[0]
            if host == registry or (registry == "docker.io" and host in ("index.docker.io", "registry-1.docker.io")):
                return _credential(entry, server)
    return None


def _auths(secret: Secret) -> dict[str, dict[str, str]]:
    try:
        if ".dockerconfigjson" in secret.data:
            return dict(codec.loads(secret.data[".dockerconfigjson"]).get("auths") or {})
        if ".dockercfg" in secret.data:
            return dict(codec.loads(secret.data[".dockercfg"]))
    except (codec.DecodeError, AttributeError):
        log.warning("pull secret is not a docker config", extra={"secret": f"{secret.metadata.namespace}/{secret.metadata.name}"})
    return {}


def _credential(entry: dict[str, str], server: str) -> Credential:
    user, password = entry.get("username", ""), entry.get("password", "")
    if not user and entry.get("auth"):
        try:
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            log.warning("pull secret has an auth that is not base64", extra={"server": server})
    return Credential(username=user, password=password, identity_token=entry.get("identitytoken", ""), server=server)


class ImagePuller:
    """Makes sure that images are there; never makes a caller wait for a pull."""

    def __init__(self, runtime: Runtime, tasks: Tasks, *, clock: AsyncClock, event: Callable[[Pod, str, str, str], None]) -> None:
        self._runtime, self._tasks, self._clock, self._event = runtime, tasks, clock, event
        self._pulls: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._done: dict[tuple[str, str], str] = {}
        self._failures: dict[tuple[str, str], _Failure] = {}

    async def ensure(self, pod: Pod, container: Container, secrets: Iterable[Secret | None], done: Callable[[], None]) -> Image | ImageWait:
        """The image if it is there; otherwise why not, and `done` is called when that may have changed."""
        name, key = with_tag(container.image), (pod.metadata.uid, container.image)
        policy = container.imagePullPolicy or ("Always" if name.endswith(":latest") else "IfNotPresent")
        if key in self._pulls:
            return ImageWait("ContainerCreating", "")
        pulled = self._done.pop(key, None)
        try:
            found = await self._runtime.image_status(pulled or name)
        except RuntimeFault as error:
            return self._failed(key, error.reason, f'Failed to apply default image tag "{container.image}": {error}')
        if found is not None and (policy != "Always" or pulled is not None):
            if pulled is None:
                self._event(pod, "Normal", "Pulled", f'Container image "{container.image}" already present on machine')
            self._failures.pop(key, None)
            return found
        if policy == "Never":
            message = f'Container image "{container.image}" is not present with pull policy of Never'
            self._event(pod, "Warning", "ErrImageNeverPull", message)
            return ImageWait("ErrImageNeverPull", message, MOST_BACKOFF_SECONDS)
        failure = self._failures.get(key)
        if failure is not None and (left := failure.until - self._clock.monotonic()) > 0:
            back_off = f'Back-off pulling image "{container.image}": {failure.reason}: {failure.message}'
            return ImageWait("ImagePullBackOff", back_off, left)
        credential = credentials_for(container.image, secrets)
        self._event(pod, "Normal", "Pulling", f'Pulling image "{container.image}"')
        # an image that is here already serves where the registry cannot be reached is upstream's IfNotPresent only
        self._pulls[key] = self._tasks.start(self._pull(pod, container, name, credential, done), f"pull {name}", keep_going=True)
        await asyncio.sleep(0)
        if key in self._done:  # images that are records only are there at once
            return await self.ensure(pod, container, secrets, done)
        return ImageWait("ContainerCreating", "")

    async def _pull(self, pod: Pod, container: Container, name: str, credential: Credential | None, done: Callable[[], None]) -> None:
        key, started = (pod.metadata.uid, container.image), self._clock.monotonic()
        try:
            self._done[key] = await self._runtime.pull_image(name, credential)
            took = self._clock.monotonic() - started
            self._event(pod, "Normal", "Pulled", f'Successfully pulled image "{container.image}" in {took * 1000:.0f}ms')
        except RuntimeFault as error:
            self._event(pod, "Warning", "Failed", f'Failed to pull image "{container.image}": {error}')
            self._event(pod, "Warning", "Failed", f"Error: {error.reason}")
            self._failed(key, error.reason, str(error))
        finally:
            self._pulls.pop(key, None)
            done()

    def _failed(self, key: tuple[str, str], reason: str, message: str) -> ImageWait:
        before = self._failures.get(key)
        seconds = FIRST_BACKOFF_SECONDS if before is None else min(before.backoff_seconds * 2, MOST_BACKOFF_SECONDS)
        self._failures[key] = _Failure(reason, message, seconds, self._clock.monotonic() + seconds)
        return ImageWait(reason, message, seconds)

    def forget(self, uid: str) -> None:
        """The pod is gone."""
        for key in [key for key in [*self._pulls, *self._failures, *self._done] if key[0] == uid]:
            if (task := self._pulls.pop(key, None)) is not None:
                task.cancel()
            self._failures.pop(key, None)
            self._done.pop(key, None)
