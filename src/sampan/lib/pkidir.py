"""The folder in which a cluster keeps its keys: made on first use, reused while good, renewed before it expires.

Owns: file names (kubeadm's), modes (0600 in a 0700 folder), writing without half-written files, and `index.json`,
which remembers what each certificate was made for so that a start needs no parsing (and no import of `cryptography`).
A folder that somebody else filled (his own CA) works: without an index the files themselves are read and judged.
Leaves the contents to `sampan.lib.pki`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sampan.lib import pki, pkirotate
from sampan.lib.clock import Clock
from sampan.lib.errors import ConfigError
from sampan.lib.pkirotate import Lifetimes, renew_after, write_private

INDEX = "index.json"


@dataclass(frozen=True)
class Files:
    """Where a certificate and its key are, and when the certificate is to be renewed."""

    certificate: Path
    key: Path
    renew_after: datetime

    def pair(self) -> pki.Pair:
        """Their contents."""
        return pki.Pair(self.certificate.read_bytes(), self.key.read_bytes())


@dataclass(frozen=True)
class Authority(Files):
    """Also whom to trust (`bundle`), and `renew_after` is when one of its steps is due."""

    bundle: Path


@dataclass(frozen=True)
class ClusterPki:
    """What a server needs to start. `signing_key` is the service accounts' private key, `signing_public` what verifies."""

    ca: Authority
    server: Files
    admin: Files
    kubelet_client: Files
    front_proxy_ca: Authority
    front_proxy_client: Files
    signing_key: Path
    signing_public: Path
    signing_after: datetime

    def renew_after(self) -> datetime:
        """When the first of them wants `ensure_cluster` again."""
        return min(self.signing_after, *(files.renew_after for files in (
            self.ca, self.server, self.admin, self.kubelet_client, self.front_proxy_ca, self.front_proxy_client)))


def ensure_cluster(folder: Path, names: pki.Names, clock: Clock, lifetimes: Lifetimes = Lifetimes()) -> ClusterPki:
    """Make or reuse all of it in `folder` (`DIR/pki`); `names` are the server's (`pki.server_names`).

    Called again at `ClusterPki.renew_after` it takes the next step: nothing expires while it is.

    Raises:
        ConfigError: A file is there that can't be read or does not belong to its neighbour.
    """
    pki_folder = PkiFolder(folder, clock, lifetimes)
    ca = pki_folder.ensure_ca("ca", "kubernetes")
    proxy_ca = pki_folder.ensure_ca("front-proxy-ca", "front-proxy-ca")
    signing_key, signing_public, signing_after = pki_folder.ensure_signing_key("sa")
    made = ClusterPki(
        ca=ca, front_proxy_ca=proxy_ca, signing_key=signing_key, signing_public=signing_public, signing_after=signing_after,
        server=pki_folder.ensure("apiserver", ca, names, ("digital signature", "server auth")),
        admin=pki_folder.ensure("admin", ca, pki.Names("kubernetes-admin", ("system:masters",)), _CLIENT),
        kubelet_client=pki_folder.ensure(
            "apiserver-kubelet-client", ca, pki.Names("kube-apiserver-kubelet-client", ("system:masters",)), _CLIENT),
        front_proxy_client=pki_folder.ensure("front-proxy-client", proxy_ca, pki.Names("front-proxy-client"), _CLIENT),
    )
    pki_folder.save()
    return made


_CLIENT = ("digital signature", "client auth")


class PkiFolder:
    """One folder of certificates and keys."""

    def __init__(self, folder: Path, clock: Clock, lifetimes: Lifetimes = Lifetimes()) -> None:
        self._folder, self._clock, self._lifetimes = folder, clock, lifetimes
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._index: dict[str, dict[str, str]] = self._load()
        self._changed = False

    def ensure_ca(self, name: str, common_name: str) -> Authority:
        """The authority `name`, as far on its way to the next one as the time is (`pkirotate`)."""
        authority = pkirotate.Authority(self._folder, name, common_name, self._lifetimes.ca)
        known = self._known(name, authority.crt, authority.key, wanted=common_name)
        if known is None or not authority.bundle.exists() or self._clock.now() >= known.renew_after:
            state = authority.step(self._clock.now())
            known = self._remember(name, authority.crt, authority.key, wanted=common_name, renew=state.again)
        return Authority(known.certificate, known.key, known.renew_after, authority.bundle)

    def ensure(self, name: str, ca: Files, names: pki.Names, usages: Sequence[str]) -> Files:
        """A certificate of `ca` for `names`; made anew when it is not that, or soon expires."""
        crt, key = self._paths(name)
        wanted = json.dumps([asdict(names), list(usages), _digest(ca.certificate)], sort_keys=True)
        if (known := self._known(name, crt, key, wanted=wanted)) is not None and self._clock.now() < known.renew_after:
            return known
        if known is None and crt.exists() and key.exists() and (files := self._adopt(name, ca, names, wanted)):
            return files
        made = pki.issue(ca.pair(), names, usages, now=self._clock.now(), days=self._lifetimes.leaf / timedelta(days=1))
        return self._put(name, made, wanted=wanted)

    def ensure_signing_key(self, name: str) -> tuple[Path, Path, datetime]:
        """The private key `name`.key, what verifies (`name`.pub: every public half that is trusted), when to come again."""
        keys = pkirotate.SigningKeys(self._folder, name, self._lifetimes)
        known = self._known(name, keys.key, keys.public, wanted="")
        if known is None or self._clock.now() >= known.renew_after:
            state = keys.step(self._clock.now())
            known = self._remember(name, keys.key, keys.public, wanted="", renew=state.again)
        return keys.key, keys.public, known.renew_after

    def expire(self, name: str) -> bool:
        """Have `ensure` make a certificate anew when it is asked next; False: it is not known here."""
        entry = self._index.get(name)
        if entry is None:
            return False
        entry["renew_after"] = self._clock.now().isoformat()
        self._changed = True
        self.save()
        return True

    def save(self) -> None:
        """Write the index if it changed."""
        if self._changed:
            write_private(self._folder / INDEX, json.dumps(self._index, indent=1, sort_keys=True).encode() + b"\n")
            self._changed = False

    def _adopt(self, name: str, ca: Files, names: pki.Names, wanted: str) -> Files | None:
        """Take files that the index does not know, if they are as wanted."""
        crt, key = self._paths(name)
        facts = self._read(crt)
        found = facts.names
        good = (set(names.dns) <= set(found.dns) and set(names.addresses) <= set(found.addresses)
                and found.common_name == names.common_name and set(found.organizations) == set(names.organizations)
                and self._clock.now() < (renew := renew_after(facts))
                and pki.belongs_to(crt.read_bytes(), key.read_bytes())
                and pki.signed_by(crt.read_bytes(), ca.certificate.read_bytes()))
        return self._remember(name, crt, key, wanted=wanted, renew=renew) if good else None

    def _put(self, name: str, pair: pki.Pair, *, wanted: str) -> Files:
        crt, key = self._paths(name)
        # the key first: a crash in between leaves a certificate that does not match and is made anew
        write_private(key, pair.key)
        write_private(crt, pair.certificate)
        return self._remember(name, crt, key, wanted=wanted, renew=renew_after(pki.facts_of(pair.certificate)))

    def _remember(self, name: str, crt: Path, key: Path, *, wanted: str, renew: datetime) -> Files:
        self._index[name] = {"files": _digest(crt, key), "wanted": _short(wanted), "renew_after": renew.isoformat()}
        self._changed = True
        return Files(crt, key, renew)

    def _known(self, name: str, crt: Path, key: Path, *, wanted: str) -> Files | None:
        entry = self._index.get(name)
        if entry is None or not crt.exists() or not key.exists():
            return None
        if entry["files"] != _digest(crt, key) or entry["wanted"] != _short(wanted):
            return None
        return Files(crt, key, datetime.fromisoformat(entry["renew_after"]))

    def _paths(self, name: str) -> tuple[Path, Path]:
        return self._folder / f"{name}.crt", self._folder / f"{name}.key"

    def _read(self, crt: Path) -> pki.Facts:
        try:
            return pki.facts_of(crt.read_bytes())
        except pki.BadCertificate as error:
            raise ConfigError(f"{crt} can't be read: {error.message}", hint="restore it, or remove it and its key "
                              "and they are made anew") from error

    def _load(self) -> dict[str, dict[str, str]]:
        try:
            raw: Any = json.loads((self._folder / INDEX).read_bytes())
            entries = {str(name): {part: str(entry[part]) for part in ("files", "wanted", "renew_after")}
                       for name, entry in raw.items()}
            for entry in entries.values():
                datetime.fromisoformat(entry["renew_after"])
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, AttributeError, TypeError):
            return {}  # only a memory of what the files say: they are read again
        return entries


def _digest(*paths: Path) -> str:
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
