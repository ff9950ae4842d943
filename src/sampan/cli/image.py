"""`sampan image`: build images without Docker, load them into a cluster's containerd, list what is there."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.lib.errors import ConfigError, SampanError

if TYPE_CHECKING:  # imported when the command runs: `sampan --help` is quick
    from sampan.drivers.oci.image import PlatformImage
    from sampan.node.runtimes.status import Image

ARCHITECTURES = ("amd64", "arm64")


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    words = parser.add_subparsers(dest="what", required=True, metavar="build|load|list")
    build = words.add_parser("build", help="build an image from a folder with a Dockerfile, or busybox itself, and load it",
                             description="Build an image from a folder with a Dockerfile (FROM scratch, busybox or an image "
                                         "file; COPY, ENV, CMD, ENTRYPOINT, WORKDIR, USER, EXPOSE, LABEL; no RUN), or `busybox` "
                                         "from this machine's busybox-static, and load it into a cluster.")
    build.add_argument("context", metavar="FOLDER|FILE|busybox", help="folder with a Dockerfile, a Dockerfile, or the word busybox")
    build.add_argument("-t", "--tag", action="append", default=[], metavar="NAME[:TAG]", help="the image's name; may be repeated")
    build.add_argument("-o", "--output", type=Path, metavar="FILE", help="write an OCI layout tar and load nothing")
    build.add_argument("--arch", action="append", default=[], choices=ARCHITECTURES, help="architecture (default this machine's); may be repeated")
    build.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="value of an ARG; may be repeated")
    build.add_argument("--busybox", action="append", default=[], type=Path, metavar="FILE",
                       help="static busybox for FROM busybox, of another architecture; may be repeated")
    load = words.add_parser("load", help="load an image file (OCI layout, or `docker save`)")
    load.add_argument("file", type=Path)
    listed = words.add_parser("list", help="list the images of a cluster's first node")
    for command in (build, load, listed):
        command.add_argument("--name", default="default", help="the cluster's name")
        command.add_argument("--data", type=Path, metavar="DIR", help="folder of the cluster")
        command.add_argument("--address", metavar="SOCKET", help="containerd socket, instead of the cluster's")


def main(arguments: Sequence[str]) -> int:
    """Run from Python, with the words after `sampan image`."""
    parser = argparse.ArgumentParser(prog="sampan image")
    add(parser)
    return run(parser.parse_args(arguments))


def run(arguments: argparse.Namespace) -> int:
    """Build, load or list."""
    if arguments.what == "build":
        return _build(arguments)
    socket = _socket(arguments)
    if arguments.what == "load":
        if not arguments.file.is_file():
            raise ConfigError(f"there is no file {arguments.file}")
        names = asyncio.run(_load(socket, arguments.file))
        print("\n".join(f"loaded {name}" for name in names) or "loaded nothing new")
        return 0
    for row in _rows(asyncio.run(_images(socket))):
        print(row)
    return 0


def _build(arguments: argparse.Namespace) -> int:
    from sampan.drivers.oci.image import full_name, image_id, layout_tar, machine_architecture

    socket = None if arguments.output else _socket(arguments)
    context = "busybox" if arguments.context == "busybox" else Path(arguments.context).resolve().name.lower()
    names = [full_name(name) for name in arguments.tag or [context]]
    images = [_image(arguments, architecture) for architecture in dict.fromkeys(arguments.arch or [machine_architecture()])]
    layout = layout_tar(images, names)
    if arguments.output:
        arguments.output.write_bytes(layout)
    else:
        asyncio.run(_load(socket, layout))
    for image in images:
        size = sum(len(layer) for layer in image.layers)
        print(f"{'wrote' if arguments.output else 'loaded'} {', '.join(names)} {image.architecture} {image_id(image)[7:19]} {_size(size)}")
    return 0


def _image(arguments: argparse.Namespace, architecture: str) -> PlatformImage:
    from sampan.drivers.oci.busybox import busybox_image, find_busybox, machine_of
    from sampan.drivers.oci.recipe import Recipe

    chosen = next((path for path in arguments.busybox if machine_of(path) == architecture), None)
    if arguments.context == "busybox" and not Path("busybox").is_dir():
        program = chosen or find_busybox()
        if machine_of(program) != architecture:
            raise ConfigError(f"{program} is for {machine_of(program)}, not {architecture}", hint=f"name one for {architecture}: --busybox FILE")
        return busybox_image(program)
    args = dict(item.partition("=")[::2] for item in arguments.build_arg)
    return Recipe.read(Path(arguments.context)).build(architecture, args, chosen)


def _socket(arguments: argparse.Namespace) -> Path:
    """The containerd socket of the cluster that the flags name.

    Raises:
        ConfigError: There is no such cluster, or its nodes are simulated.
    """
    from sampan.cluster.allinone import folder_of
    from sampan.cluster.config import load

    if arguments.address:
        found = Path(arguments.address.removeprefix("unix://"))
    else:
        folder = folder_of(arguments.name, arguments.data)
        config = load(folder)
        if config is None:
            raise ConfigError(f"there is no cluster in {folder}", hint="start one with `sampan up`, or write a file with `-o FILE`")
        if config.simulated:
            raise ConfigError(f"the nodes of cluster {config.name} are simulated: they need no images",
                              hint="write a file with `sampan image build -o FILE`")
        found = Path(config.runtime_endpoint.removeprefix("unix://") or f"/run/sampan/{config.bridge}/containerd.sock")
    if not found.is_socket():
        raise ConfigError(f"no containerd answers at {found}", hint="start the cluster with `sampan up`, or name a socket with --address")
    return found


async def _load(socket: Path | None, layout: bytes | Path) -> list[str]:
    from sampan.drivers.containerd import import_image

    assert socket is not None
    return await import_image(socket, layout)


async def _images(socket: Path) -> Sequence[Image]:
    from sampan.aio.clock import SystemClock
    from sampan.node.runtimes.cri import CriRuntime

    runtime = CriRuntime(f"unix://{socket}", SystemClock())
    try:
        return await runtime.list_images()
    except SampanError as error:
        raise ConfigError(f"the runtime at {socket} does not list its images: {error.message}") from error
    finally:
        await runtime.close()


def _rows(images: Sequence[Image]) -> list[str]:
    cells = [("IMAGE", "ID", "SIZE")]
    cells += sorted((tag, image.id.removeprefix("sha256:")[:12], _size(image.size_bytes))
                    for image in images for tag in image.tags or image.digests or ("<none>",))
    widths = [max(len(row[column]) for row in cells) for column in range(2)]
    return [f"{name:<{widths[0]}}  {id:<{widths[1]}}  {size}" for name, id, size in cells]


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 100_000 else f"{size_bytes / 1e3:.1f} kB"
