"""Building an image from a folder: a Dockerfile whose instructions need no running container.

Owns: the instructions and how they become layers and a config. Leaves: the formats (`layer`, `image`).
Understood: FROM scratch|busybox|FILE (an OCI layout tar), COPY, ADD of plain files, ENV, CMD, ENTRYPOINT, WORKDIR, USER,
EXPOSE, LABEL, ARG with a default, STOPSIGNAL. RUN and the rest are refused by name: put what they would have made into the
folder, or build elsewhere and `sampan image load` the result.

Source: Dockerfile reference; `.dockerignore` is honoured.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from sampan.drivers.oci.busybox import busybox_image, find_busybox, machine_of
from sampan.drivers.oci.image import ImageConfig, PlatformImage, read_layout
from sampan.drivers.oci.layer import Entry, layer_tar, tree
from sampan.lib.errors import ConfigError

FILES = ("Dockerfile", "Containerfile")
BUSYBOXES = ("busybox", "busybox:latest", "docker.io/library/busybox", "docker.io/library/busybox:latest")
MOST_BYTES = 1 << 30
SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Instruction:
    """One instruction: its word in capitals, what follows, and its line."""

    word: str
    rest: str
    line: int


@dataclass
class _Image:
    config: ImageConfig = ImageConfig()
    layers: tuple[bytes, ...] = ()
    entries: list[Entry] = field(default_factory=list)
    args: dict[str, str] = field(default_factory=dict)
    begun: bool = False


@dataclass(frozen=True)
class Recipe:
    """A folder and the instructions in it."""

    folder: Path
    file: Path
    instructions: tuple[Instruction, ...]
    ignored: tuple[str, ...] = ()

    @classmethod
    def read(cls, where: Path) -> Recipe:
        """The recipe of a folder (its Dockerfile or Containerfile) or of a file, whose folder is the context.

        Raises:
            ConfigError: There is none.
        """
        file = where if where.is_file() else next((where / name for name in FILES if (where / name).is_file()), None)
        if file is None:
            raise ConfigError(f"{where} has no Dockerfile", hint="write one: FROM busybox, then COPY, CMD …")
        ignore = file.parent / ".dockerignore"
        lines = ignore.read_text().splitlines() if ignore.is_file() else []
        return cls(file.parent, file, tuple(parse(file.read_text())),
                   tuple(line.strip().strip("/") for line in lines if line.strip() and not line.startswith("#")))

    def build(self, architecture: str, args: Mapping[str, str] | None = None, busybox: Path | None = None) -> PlatformImage:
        """The image for an architecture; `busybox` is the program that FROM busybox puts into it.

        Raises:
            ConfigError: An instruction that cannot be followed, with file and line.
        """
        made, given = _Image(), dict(args or {})
        for step in self.instructions:
            try:
                self._follow(made, step, architecture, given, busybox)
            except (ConfigError, OSError, ValueError) as error:
                hint = error.hint if isinstance(error, ConfigError) and hasattr(error, "hint") else ""
                said = error.message if isinstance(error, ConfigError) else str(error)
                raise ConfigError(f"{self.file}:{step.line}: {step.word}: {said}", hint=hint) from error
        if not made.begun:
            raise ConfigError(f"{self.file}: it does not begin with FROM", hint="begin with FROM busybox or FROM scratch")
        layers = (*made.layers, layer_tar(made.entries)) if made.entries else made.layers
        return PlatformImage(architecture, made.config, layers)

    def _follow(self, made: _Image, step: Instruction, architecture: str, given: Mapping[str, str],
                busybox: Path | None) -> None:
        if step.word == "ARG":
            name, _, default = step.rest.partition("=")
            made.args[name] = given.get(name, default)
            return
        rest = expand(step.rest, {**made.args, **dict(made.config.env)})
        if step.word == "FROM":
            self._from(made, rest.split()[0], architecture, busybox)
        elif not made.begun:
            raise ConfigError("FROM must come first")
        elif step.word in ("COPY", "ADD"):
            made.entries.extend(self._copy(rest, made.config.working_dir))
        elif (change := _CONFIG.get(step.word)) is not None:
            made.config = change(made.config, rest)
        else:
            raise ConfigError("it needs a running container, which building here does without" if step.word == "RUN"
                              else "it is not understood",
                              hint="copy the finished files in, or build elsewhere and `sampan image load` the result")

    def _from(self, made: _Image, name: str, architecture: str, busybox: Path | None) -> None:
        if made.begun:
            raise ConfigError("one image has one FROM here", hint="build the stages one after another")
        made.begun = True
        if name == "scratch":
            return
        if name in BUSYBOXES:
            chosen = busybox or find_busybox()
            if machine_of(chosen) != architecture:
                raise ConfigError(f"{chosen} is for {machine_of(chosen)}, not {architecture}",
                                  hint=f"name one for {architecture}: --busybox FILE")
            base = busybox_image(chosen)
        elif (self.folder / name).is_file():
            base = read_layout(self.folder / name, architecture)
        else:
            raise ConfigError(f"{name} is neither scratch, busybox nor an image file in {self.folder}",
                              hint="fetch it where a registry is: skopeo copy docker://IMAGE oci-archive:FILE")
        made.config, made.layers = base.config, base.layers

    def _copy(self, rest: str, working_dir: str) -> Iterator[Entry]:
        options, words = _options(_words(rest))
        if len(words) < 2:
            raise ConfigError("it needs sources and a destination")
        unknown = set(options) - {"chown", "chmod"}
        if unknown:
            raise ConfigError(f"--{min(unknown)} is not understood")
        uid, gid = _owner(options.get("chown", "0:0"))
        mode = int(options["chmod"], 8) if "chmod" in options else None
        *sources, target = words
        into = target.endswith("/") or target == "." or len(sources) > 1
        place = str(PurePosixPath("/", working_dir or "/", target)).strip("/")
        for source in sources:
            found = [path for path in sorted(self.folder.glob(source.strip("/") or ".")) if not self._ignores(path)]
            if not found:
                raise ConfigError(f"{source} is not in {self.folder}")
            for path in found:
                if not path.resolve().is_relative_to(self.folder.resolve()):
                    raise ConfigError(f"{source} lies outside of {self.folder}")
                for entry in self._entries(path, place, uid=uid, gid=gid, into=into or len(found) > 1):
                    yield replace(entry, mode=mode) if mode is not None and isinstance(entry.data, Path) else entry

    def _entries(self, path: Path, place: str, *, uid: int, gid: int, into: bool) -> Iterator[Entry]:
        if path.is_dir():
            if place:
                yield Entry(place, 0o755, uid=uid, gid=gid)
            for entry in tree(path, place, uid, gid):
                if not self._ignores(path / PurePosixPath(entry.path).relative_to(place or ".")):
                    yield entry
            return
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError(f"{path} is over {MOST_BYTES >> 20} MiB")
        yield Entry(f"{place}/{path.name}" if into else place, path.stat().st_mode & 0o7777, path, uid=uid, gid=gid)

    def _ignores(self, path: Path) -> bool:
        name, ignored = path.relative_to(self.folder).as_posix(), False
        for pattern in self.ignored:
            wanted = pattern.removeprefix("!")
            if fnmatch.fnmatch(name, wanted) or fnmatch.fnmatch(name, f"{wanted}/*"):
                ignored = not pattern.startswith("!")
        return ignored


def parse(text: str) -> Iterator[Instruction]:
    """The instructions of a Dockerfile: comments dropped, lines joined at a trailing backslash."""
    joined, began = "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        if raw.lstrip().startswith("#") or (not raw.strip() and not joined):
            continue
        began = began if joined else number
        joined += raw.strip()
        if joined.endswith("\\"):
            joined = joined[:-1] + " "
            continue
        word, _, rest = joined.partition(" ")
        yield Instruction(word.upper(), rest.strip(), began)
        joined = ""
    if joined:
        word, _, rest = joined.strip().partition(" ")
        yield Instruction(word.upper(), rest.strip(), began)


def expand(text: str, values: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME}` and `${NAME:-default}`, as a Dockerfile has them; a backslash before makes a plain dollar."""
    def value(match: re.Match[str]) -> str:
        if match[0] == r"\$":
            return "$"
        return values.get(match["plain"] or match["braced"], "") or match["default"] or ""
    return re.sub(r"\\\$|\$(?:(?P<plain>\w+)|\{(?P<braced>\w+)(?::-(?P<default>[^}]*))?\})", value, text)


def _words(rest: str) -> list[str]:
    if rest.startswith("["):
        try:
            found = json.loads(rest)
        except json.JSONDecodeError:
            return shlex.split(rest)
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return found
    return shlex.split(rest)


def _command(rest: str) -> tuple[str, ...]:
    """The JSON form as it is, the shell form for the shell."""
    if rest.startswith("["):
        try:
            found = json.loads(rest)
        except json.JSONDecodeError:
            return (*SHELL, rest)
        if isinstance(found, list) and all(isinstance(item, str) for item in found):
            return tuple(found)
        raise ConfigError("the list may hold strings only")
    return (*SHELL, rest)


def _options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    options = dict(word[2:].partition("=")[::2] for word in words if word.startswith("--"))
    return options, [word for word in words if not word.startswith("--")]


def _owner(text: str) -> tuple[int, int]:
    uid, _, gid = text.partition(":")
    if not uid.isdigit() or (gid and not gid.isdigit()):
        raise ConfigError(f"--chown={text}: owners are numbers here, as in --chown=33:33")
    return int(uid), int(gid or uid)


def _pairs(rest: str) -> list[tuple[str, str]]:
    """`A=1 B="two words"`, or the old form `A one value`."""
    words = shlex.split(rest)
    if words and "=" not in words[0]:
        return [(words[0], " ".join(words[1:]))]
    bad = next((word for word in words if "=" not in word), None)
    if bad is not None or not words:
        raise ConfigError(f"{bad or 'nothing'} where NAME=VALUE belongs")
    return [(name, value) for name, _, value in (word.partition("=") for word in words)]


def _ports(rest: str) -> tuple[str, ...]:
    ports = tuple(word if "/" in word else f"{word}/tcp" for word in rest.split())
    if not ports or not all(re.fullmatch(r"\d{1,5}/(tcp|udp|sctp)", port) for port in ports):
        raise ConfigError(f"{rest!r} are no ports")
    return ports


_CONFIG: dict[str, Callable[[ImageConfig, str], ImageConfig]] = {
    "ENV": lambda config, rest: replace(config, env=tuple({**dict(config.env), **dict(_pairs(rest))}.items())),
    "LABEL": lambda config, rest: replace(config, labels={**config.labels, **dict(_pairs(rest))}),
    "CMD": lambda config, rest: replace(config, command=_command(rest)),
    "ENTRYPOINT": lambda config, rest: replace(config, entrypoint=_command(rest), command=()),
    "WORKDIR": lambda config, rest: replace(config, working_dir=str(PurePosixPath("/", config.working_dir or "/", rest))),
    "USER": lambda config, rest: replace(config, user=rest),
    "EXPOSE": lambda config, rest: replace(config, exposed_ports=(*config.exposed_ports, *_ports(rest))),
    "STOPSIGNAL": lambda config, rest: replace(config, stop_signal=rest),
}
