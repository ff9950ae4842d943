"""Images of simulated nodes: what registries hold, and what a node has pulled of it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sampan.aio.clock import AsyncClock
from sampan.drivers.oci.image import full_name
from sampan.lib.errors import ConfigError
from sampan.node.runtimes.errors import ErrImagePull, InvalidImageName, RuntimeFault
from sampan.node.runtimes.programs import Program
from sampan.node.runtimes.spec import Credential, PodSandboxSpec
from sampan.node.runtimes.status import FilesystemStats, Image


@dataclass(frozen=True)
class SimulatedImages:
    """What registries hold: programs by image name. Unless `strict`, any other name can be pulled too and runs for ever."""

    programs: Mapping[str, Program] = field(default_factory=dict)
    strict: bool = False
    default: Program = Program()

    def find(self, name: str) -> Program | None:
        """The program of an image, by the name as written or in full."""
        if not self.programs:
            return None if self.strict else self.default
        found = self.programs.get(name) or self.programs.get(full_name(name))
        if found is None:
            found = next((program for said, program in self.programs.items() if full_name(said) == full_name(name)), None)
        return found or (None if self.strict else self.default)


class ImageStore:
    """The image half of a simulated runtime."""

    def __init__(self, clock: AsyncClock, images: SimulatedImages) -> None:
        self._clock = clock
        self.images = images
        self._pulled: dict[str, Image] = {}
        self._listed: tuple[Image, ...] | None = None  # as `list_images` says it, until it is something else
        self.faults: dict[str, list[RuntimeFault]] = {}

    def _fault(self, method: str) -> None:
        if waiting := self.faults.get(method):
            raise waiting.pop(0)

    async def image_status(self, image: str) -> Image | None:
        self._fault("image_status")
        return self._pulled.get(image) or self._pulled.get(_full(image))

    async def pull_image(self, image: str, credential: Credential | None = None,
                         sandbox: PodSandboxSpec | None = None) -> str:
        self._fault("pull_image")
        name = _full(image)
        program = self.images.find(image)
        if program is None or program.pull_error:
            said = program.pull_error if program else "not found"
            raise ErrImagePull("rpc error: code = NotFound desc = failed to pull and unpack image "
                               f'"{name}": failed to resolve reference "{name}": {name}: {said}')
        if program.pull_seconds:
            await self._clock.sleep(program.pull_seconds)
        id = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
        self._listed = None
        self._pulled[name] = self._pulled[id] = Image(id, (name,), (f"{name.rpartition(':')[0]}@{id}",), program.size_bytes)
        return id

    async def list_images(self) -> Sequence[Image]:
        if self._listed is None:
            self._listed = tuple({image.id: image for image in self._pulled.values()}.values())
        return self._listed

    async def remove_image(self, image: str) -> None:
        found = await self.image_status(image)
        self._listed = None
        self._pulled = {name: kept for name, kept in self._pulled.items() if kept is not found}

    async def image_filesystem(self) -> Sequence[FilesystemStats]:
        return [FilesystemStats("/", sum(image.size_bytes for image in await self.list_images()), 0)]


def _full(image: str) -> str:
    if image.startswith("sha256:"):
        return image
    try:
        return full_name(image)
    except ConfigError as error:
        raise InvalidImageName(f'Failed to apply default image tag "{image}": couldn\'t parse image name '
                               f'"{image}": invalid reference format') from error
