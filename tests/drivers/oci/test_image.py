"""Images: names in full, layouts that hold together."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from sampan.drivers.oci.image import ImageConfig, PlatformImage, full_name, image_id, layout_tar, read_layout
from sampan.drivers.oci.layer import Entry, layer_tar
from sampan.lib.errors import ConfigError

LAYER = layer_tar([Entry("etc/hello", 0o644, b"hello")])
CONFIG = ImageConfig(("/run",), ("-v",), (("A", "1=2"),), "/app", "5", ("80/tcp",), {"l": "v"}, "SIGQUIT")


@pytest.mark.parametrize(("name", "full"), [
    ("busybox", "docker.io/library/busybox:latest"),
    ("busybox:1.36", "docker.io/library/busybox:1.36"),
    ("team/web", "docker.io/team/web:latest"),
    ("index.docker.io/library/web", "docker.io/library/web:latest"),
    ("localhost/web", "localhost/web:latest"),
    ("localhost:5000/a/b/web:v1", "localhost:5000/a/b/web:v1"),
    ("registry.k8s.io/pause:3.9", "registry.k8s.io/pause:3.9"),
    ("web@sha256:" + "a" * 64, "docker.io/library/web@sha256:" + "a" * 64),
    ("[::1]:5000/web", "[::1]:5000/web:latest"),
])
def test_names_are_made_full(name: str, full: str) -> None:
    assert full_name(name) == full
    assert full_name(full) == full


@pytest.mark.parametrize("name", ["", "Web", "a//b", "web:", "web: v1", "web@sha256:abc", "/web", "a b", "-web", "x" * 600])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not an image name"):
        full_name(name)


def test_every_descriptor_names_a_blob_of_its_size_and_digest() -> None:
    # given an image of two architectures under two names
    layout = layout_tar([PlatformImage(name, CONFIG, (LAYER,)) for name in ("amd64", "arm64")], ["a/b:1", "a/b:2"])
    with tarfile.open(fileobj=io.BytesIO(layout)) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    # then
    index = json.loads(files["index.json"])
    assert [item["annotations"]["io.containerd.image.name"] for item in index["manifests"]] == ["a/b:1", "a/b:2"]
    todo, seen = list(index["manifests"]), 0
    while todo:
        descriptor = todo.pop()
        blob = files["blobs/" + descriptor["digest"].replace(":", "/")]
        seen += 1
        assert len(blob) == descriptor["size"]
        assert "sha256:" + hashlib.sha256(blob).hexdigest() == descriptor["digest"]
        if descriptor["mediaType"].endswith("+json") and "config" not in descriptor["mediaType"]:
            inner = json.loads(blob)
            todo += inner.get("manifests", []) + inner.get("layers", []) + ([inner["config"]] if "config" in inner else [])
    assert seen == 2 * (1 + 2 * 3)


def test_a_layout_is_read_back(tmp_path: Path) -> None:
    images = [PlatformImage("amd64", CONFIG, (LAYER,)), PlatformImage("arm64", ImageConfig(user="7"), (LAYER, LAYER))]
    file = tmp_path / "image.tar"
    file.write_bytes(layout_tar(images, ["a/b:1"]))
    assert [read_layout(file, name) for name in ("amd64", "arm64")] == images
    with pytest.raises(ConfigError, match="no image for riscv64"):
        read_layout(file, "riscv64")


def test_compressed_layers_are_unpacked(tmp_path: Path) -> None:
    # a layer's type is not looked at, its first bytes are
    packed = PlatformImage("amd64", CONFIG, (gzip.compress(LAYER),))
    file = tmp_path / "image.tar"
    file.write_bytes(layout_tar([packed], ["a/b:1"]))
    assert read_layout(file, "amd64").layers == (LAYER,)


@pytest.mark.parametrize("content", [b"", b"not a tar", layer_tar([Entry("x", 0o644, b"1")])])
def test_a_file_that_is_no_layout_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "image.tar"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="not an OCI image layout"):
        read_layout(file, "amd64")


def test_the_id_is_the_configs_digest_and_stable() -> None:
    image = PlatformImage("amd64", CONFIG, (LAYER,))
    assert image_id(image) == image_id(PlatformImage("amd64", CONFIG, (LAYER,)))
    assert image_id(image) != image_id(PlatformImage("arm64", CONFIG, (LAYER,)))
