"""An image as an OCI layout in a tar: what `ctr images import`, `docker load`, `podman load` and skopeo read.

Owns: config, manifest, index, names. Leaves: what is in the layers (`layer`), how it gets into a runtime (`containerd`).

Source: OCI image spec 1.1, `config.md`, `manifest.md`, `image-index.md`, `image-layout.md`; names as
`distribution/reference` normalises them.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import re
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.lib.errors import ConfigError

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
TYPE = "application/vnd.oci.image."
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(
    rf"^(?:(?P<domain>(?:[a-zA-Z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?)/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9+._-]+:[0-9a-fA-F]{32,}))?$", re.ASCII)


@dataclass(frozen=True)
class ImageConfig:
    """What a container of the image does when nothing else is said."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    working_dir: str = ""
    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    """`8080/tcp`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""


@dataclass(frozen=True)
class PlatformImage:
    """An image for one architecture; the layers are plain tars, lowest first."""

    architecture: str
    config: ImageConfig
    layers: tuple[bytes, ...]


def machine_architecture() -> str:
    """This machine's architecture in the words of images."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def full_name(name: str) -> str:
    """`busybox` → `docker.io/library/busybox:latest`. Raises ConfigError for what is no image name."""
    match = _NAME.match(name)
    if match is None or len(name) > 512:
        raise ConfigError(f"{name!r} is not an image name",
                          hint="write [HOST/]NAME[:TAG] in lower case, as in `web:v1` or `registry.local:5000/team/web:v1`")
    domain, path, tag, digest = match.group("domain", "path", "tag", "digest")
    if domain and "." not in domain and ":" not in domain and domain != "localhost":
        domain, path = "", f"{domain}/{path}"
    if domain in ("", None, "index.docker.io"):
        domain = "docker.io"
    if domain == "docker.io" and "/" not in path:
        path = f"library/{path}"
    if not re.fullmatch(rf"{_COMPONENT}(?:/{_COMPONENT})*", path):
        raise ConfigError(f"{name!r} is not an image name", hint="write it in lower case")
    return f"{domain}/{path}" + (f":{tag}" if tag else "" if digest else ":latest") + (f"@{digest}" if digest else "")


def layout_tar(images: Sequence[PlatformImage], names: Sequence[str]) -> bytes:
    """The layout of one image in one or several architectures, under one or several full names."""
    blobs: dict[str, bytes] = {}
    manifests = [_manifest(blobs, image) for image in images]
    if len(manifests) == 1:
        top = manifests[0]
    else:
        index = {"schemaVersion": 2, "mediaType": f"{TYPE}index.v1+json", "manifests": manifests}
        top = _put(blobs, _json(index), f"{TYPE}index.v1+json")
    listed = [{**top, "annotations": {"io.containerd.image.name": name,
                                      "org.opencontainers.image.ref.name": name.rpartition(":")[2]}} for name in names]
    entries = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
               "index.json": _json({"schemaVersion": 2, "mediaType": f"{TYPE}index.v1+json", "manifests": listed})}
    entries |= {f"blobs/sha256/{digest}": blob for digest, blob in sorted(blobs.items())}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, data in entries.items():
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def image_id(image: PlatformImage) -> str:
    """The id that a runtime will know the image by: the digest of its config."""
    return "sha256:" + hashlib.sha256(_config(image)).hexdigest()


def read_layout(file: Path, architecture: str) -> PlatformImage:
    """An image out of a layout tar (ours, or one that `docker save`, skopeo or podman wrote), layers unpacked.

    Raises:
        ConfigError: The file is no such tar, or has no image of that architecture.
    """
    try:
        with tarfile.open(file) as tar:
            index = _read_json(tar, "index.json")
            manifest = _choose(tar, index["manifests"], architecture, depth=0)
            config = _read_json(tar, _blob(manifest["config"]))
            layers = tuple(_plain(_read(tar, _blob(layer))) for layer in manifest["layers"])
    except (tarfile.TarError, KeyError, OSError, ValueError) as error:
        raise ConfigError(f"{file} is not an OCI image layout in a tar: {error}",
                          hint="make one with `sampan image build -o FILE`, or `skopeo copy … oci-archive:FILE`") from error
    made = config.get("config") or {}
    return PlatformImage(architecture, ImageConfig(
        tuple(made.get("Entrypoint") or ()), tuple(made.get("Cmd") or ()),
        tuple((name, value) for name, _, value in (item.partition("=") for item in made.get("Env") or ())),
        made.get("WorkingDir", ""), made.get("User", ""), tuple(made.get("ExposedPorts") or ()),
        made.get("Labels") or {}, made.get("StopSignal", "")), layers)


def _choose(tar: tarfile.TarFile, manifests: Sequence[Mapping[str, Any]], architecture: str, depth: int) -> dict[str, Any]:
    if depth > 3:
        raise ValueError("indexes within indexes within indexes")
    for descriptor in manifests:
        if descriptor.get("platform", {}).get("architecture", architecture) != architecture:
            continue
        found = _read_json(tar, _blob(descriptor))
        if "manifests" in found:
            return _choose(tar, found["manifests"], architecture, depth + 1)
        if _read_json(tar, _blob(found["config"])).get("architecture", architecture) == architecture:
            return found
    raise ValueError(f"it has no image for {architecture}")


def _blob(descriptor: Mapping[str, Any]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


def _read(tar: tarfile.TarFile, name: str) -> bytes:
    member = tar.extractfile(name)
    if member is None:
        raise ValueError(f"{name} is not a file")
    return member.read()


def _read_json(tar: tarfile.TarFile, name: str) -> dict[str, Any]:
    found = json.loads(_read(tar, name))
    if not isinstance(found, dict):
        raise ValueError(f"{name} is not an object")
    return found


def _plain(layer: bytes) -> bytes:
    if layer[:2] == b"\x1f\x8b":
        import gzip

        return gzip.decompress(layer)
    return layer


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _put(blobs: dict[str, bytes], blob: bytes, media_type: str) -> dict[str, Any]:
    digest = hashlib.sha256(blob).hexdigest()
    blobs[digest] = blob
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(blob)}


def _manifest(blobs: dict[str, bytes], image: PlatformImage) -> dict[str, Any]:
    manifest = {
        "schemaVersion": 2, "mediaType": f"{TYPE}manifest.v1+json",
        "config": _put(blobs, _config(image), f"{TYPE}config.v1+json"),
        "layers": [_put(blobs, layer, f"{TYPE}layer.v1.tar") for layer in image.layers],
    }
    descriptor = _put(blobs, _json(manifest), f"{TYPE}manifest.v1+json")
    return {**descriptor, "platform": {"os": "linux", "architecture": image.architecture}}


def _config(image: PlatformImage) -> bytes:
    config = image.config
    said: dict[str, Any] = {
        "Entrypoint": list(config.entrypoint), "Cmd": list(config.command),
        "Env": [f"{name}={value}" for name, value in config.env], "WorkingDir": config.working_dir,
        "User": config.user, "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Labels": dict(config.labels), "StopSignal": config.stop_signal,
    }
    return _json({
        "created": "1970-01-01T00:00:00Z", "os": "linux", "architecture": image.architecture,
        "config": {name: value for name, value in said.items() if value},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in image.layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "sampan image build"} for _ in image.layers],
    })
