"""The small Dockerfile."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sampan.drivers.oci.image import ImageConfig, PlatformImage, layout_tar
from sampan.drivers.oci.layer import Entry, layer_tar
from sampan.drivers.oci.recipe import Instruction, Recipe, expand, parse
from sampan.lib.errors import ConfigError


def build(folder: Path, text: str, **args: str) -> PlatformImage:
    (folder / "Dockerfile").write_text(text)
    return Recipe.read(folder).build("amd64", args)


def files(image: PlatformImage) -> dict[str, tarfile.TarInfo]:
    found: dict[str, tarfile.TarInfo] = {}
    for layer in image.layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
            found |= {member.name: member for member in tar}
    return found


def test_instructions_become_the_config(tmp_path: Path) -> None:
    image = build(tmp_path, """# a comment
FROM scratch
ARG VERSION=1
ENV NAME=web GREETING="hello world" \\
    OLD=1
ENV old style value
WORKDIR /srv
WORKDIR app
LABEL version=$VERSION by=${WHO:-us}
EXPOSE 80 53/udp
USER 33:33
STOPSIGNAL SIGQUIT
ENTRYPOINT ["/bin/app", "--name"]
CMD serve ${NAME}
""", VERSION="2")
    assert image.config == ImageConfig(
        ("/bin/app", "--name"), ("/bin/sh", "-c", "serve web"),
        (("NAME", "web"), ("GREETING", "hello world"), ("OLD", "1"), ("old", "style value")), "/srv/app", "33:33",
        ("80/tcp", "53/udp"), {"version": "2", "by": "us"}, "SIGQUIT")
    assert image.layers == ()


def test_files_are_copied_where_they_should_be(tmp_path: Path) -> None:
    # given
    for name in ("page.html", "site/index.html", "site/css/a.css", "site/secret.txt", "run.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "run.sh").chmod(0o755)
    (tmp_path / ".dockerignore").write_text("# not these\n**/secret.txt\n*/secret.txt\n")
    # when
    found = files(build(tmp_path, """FROM scratch
COPY page.html /www/index.html
COPY page.html run.sh bin/
WORKDIR /data
COPY site .
COPY --chown=33:34 --chmod=600 page.html /owned
COPY *.html /all/
"""))
    # then
    assert {path for path, info in found.items() if info.isfile()} == {
        "www/index.html", "bin/page.html", "bin/run.sh", "data/index.html", "data/css/a.css", "owned", "all/page.html"}
    assert found["bin/run.sh"].mode == 0o755
    assert (found["owned"].uid, found["owned"].gid, found["owned"].mode) == (33, 34, 0o600)


def test_an_image_can_be_built_on_an_image_file(tmp_path: Path) -> None:
    base = PlatformImage("amd64", ImageConfig(command=("base",), env=(("PATH", "/bin"),)), (layer_tar([Entry("base", 0o644, b"")]),))
    (tmp_path / "base.tar").write_bytes(layout_tar([base], ["a/base:1"]))
    (tmp_path / "new").write_text("new")
    image = build(tmp_path, "FROM base.tar\nCOPY new /\nENV PATH=$PATH:/sbin")
    assert {"base", "new"} <= set(files(image))
    assert image.layers[0] == base.layers[0]
    assert image.config.command == ("base",)
    assert image.config.env == (("PATH", "/bin:/sbin"),)


def test_the_same_folder_makes_the_same_image(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    assert build(tmp_path, "FROM scratch\nCOPY a /") == build(tmp_path, "FROM scratch\nCOPY a /")


@pytest.mark.parametrize(("text", "said"), [
    ("FROM scratch\nRUN apt-get update", r"Dockerfile:2: RUN: it needs a running container"),
    ("FROM scratch\nHEALTHCHECK NONE", r"Dockerfile:2: HEALTHCHECK: it is not understood"),
    ("FROM alpine:3", r"Dockerfile:1: FROM: alpine:3 is neither scratch, busybox nor an image file"),
    ("FROM scratch\nFROM scratch", r"Dockerfile:2: FROM: one image has one FROM"),
    ("COPY a /", r"Dockerfile:1: COPY: FROM must come first"),
    ("", r"does not begin with FROM"),
    ("FROM scratch\n\nCOPY gone /", r"Dockerfile:3: COPY: gone is not in"),
    ("FROM scratch\nCOPY ../outside /", r"Dockerfile:2: COPY: .*outside"),
    ("FROM scratch\nCOPY onlyone", r"needs sources and a destination"),
    ("FROM scratch\nCOPY --from=x a /", r"--from is not understood"),
    ("FROM scratch\nEXPOSE web", r"'web' are no ports"),
    ("FROM scratch\nENV A=1 broken", r"broken where NAME=VALUE belongs"),
    ("FROM scratch\nCMD [1, 2]", r"strings only"),
])
def test_what_cannot_be_followed_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "outside").write_text("secret")
    with pytest.raises(ConfigError, match=said):
        build(tmp_path / "context", text)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "context").mkdir()
    (tmp_path / "outside").write_text("secret")
    (tmp_path / "context" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(ConfigError, match="lies outside"):
        build(tmp_path / "context", "FROM scratch\nCOPY link /")


def test_a_folder_without_a_recipe_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no Dockerfile"):
        Recipe.read(tmp_path)


def test_lines_are_joined_and_numbered_where_they_begin() -> None:
    assert list(parse("from a\n\n# no\nenv a=1 \\\n# still no\n  b=2\ncmd x \\")) == [
        Instruction("FROM", "a", 1), Instruction("ENV", "a=1  b=2", 4), Instruction("CMD", "x", 7)]


def test_values_are_put_in() -> None:
    assert expand(r"$A ${A} ${B:-none} $B \$A", {"A": "1"}) == "1 1 none  $A"
