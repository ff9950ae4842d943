"""How an authority and the key of service account tokens give way to the next one, step by step, in a folder of files.

An authority NAME: `NAME.crt` and `.key` sign, `NAME-next.crt` and `.key` will, `NAME-old.crt` has those that did, and
`NAME-bundle.crt` is whom to trust: all of them that have not ended.

    only it ── two thirds of its life ──► next one trusted ── a week or a twelfth of its life ──► next one signs ── old one ends ─►

So whoever follows the bundle trusts the next authority before anything is signed by it, and the last one as long as
something signed by it may be shown. An authority that is not ours (it has another name) keeps its key: who put it there
gives it its time.

Signing keys: `NAME.key` signs, `NAME-next.key` will, `NAME.pub` verifies: all public halves, the signer's first. A key that
signed is trusted for as long as a token may live.

Every step is made of whole files in an order that may be cut anywhere: the next start goes on from what is there.
Source: kubernetes.io/docs/tasks/tls/manual-rotation-of-ca-certificates; `pkg/serviceaccount/openidmetadata.go`.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sampan.lib import pem, pki
from sampan.lib.errors import ConfigError

SPREAD_MOST = timedelta(days=7)


@dataclass(frozen=True)
class Lifetimes:
    """How long what is made lives. `tokens`: how long a key that signs no more is trusted, the longest token's life."""

    ca: timedelta = timedelta(days=pki.CA_DAYS)
    leaf: timedelta = timedelta(days=pki.LEAF_DAYS)
    signing_key: timedelta = timedelta(days=365)
    tokens: timedelta = timedelta(days=366)


@dataclass(frozen=True)
class State:
    """What a step has left: whom to trust or what verifies, and when there is something to do again."""

    trusted: Path
    again: datetime


def renew_after(facts: pki.Facts) -> datetime:
    """When two thirds of its life are over, at least a day before the end of a long one."""
    start = min(facts.not_before + pki.BACKDATE, facts.not_after)
    life = facts.not_after - start
    return min(start + life * 2 / 3, facts.not_after - min(timedelta(days=1), life / 3))


def spread(life: timedelta) -> timedelta:
    """How long the next one is trusted before it signs."""
    return min(SPREAD_MOST, life / 12)


def blocks(text: bytes) -> list[bytes]:
    """The blocks of a PEM file, each with its end of line."""
    return [found.whole + b"\n" for found in pem.blocks(text)]


def write_private(path: Path, data: bytes) -> None:
    """Replace a file as a whole, durably, readable by its owner only; leave one that has these bytes alone."""
    if path.exists() and path.read_bytes() == data:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view):]
        os.fsync(descriptor)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    temporary.replace(path)


class Authority:
    """One authority in a folder."""

    def __init__(self, folder: Path, name: str, common_name: str, life: timedelta) -> None:
        self._common_name, self._life = common_name, life
        self.crt, self.key = folder / f"{name}.crt", folder / f"{name}.key"
        self._next_crt, self._next_key = folder / f"{name}-next.crt", folder / f"{name}-next.key"
        self._old, self.bundle = folder / f"{name}-old.crt", folder / f"{name}-bundle.crt"

    def step(self, now: datetime) -> State:
        """Do what is due.

        Raises:
            ConfigError: A file is there that can't be read or does not belong to its neighbour.
        """
        if self.crt.exists() and not self.key.exists():
            raise ConfigError(f"{self.crt} is there but {self.key} is not", hint="put the key beside it, or remove both and "
                              "every certificate of this folder is made anew")
        self._recover(now)
        facts = self._facts(self.crt)
        if not pki.belongs_to(self.crt.read_bytes(), self.key.read_bytes()):
            raise ConfigError(f"{self.key} is not the key of {self.crt}", hint="restore the pair that belongs together")
        if now >= renew_after(facts):
            facts = self._renew(facts, now)
        again = renew_after(facts)
        if self._next_crt.exists():
            again = self._switch_at(facts)
        return State(self.bundle, min([again, *self._trust(now)]))

    def _recover(self, now: datetime) -> None:
        """Make what is missing, also what a crash has left half-made."""
        if not self.key.exists():
            self._put(self.crt, self.key, pki.new_ca(self._common_name, now=now, days=self._life / timedelta(days=1)))
        elif self._next_key.exists() and self._next_crt.exists() and self._next_key.read_bytes() == self.key.read_bytes():
            write_private(self.crt, self._next_crt.read_bytes())
            self._next_key.unlink()
            self._next_crt.unlink()
        elif not self.crt.exists():
            pair = pki.new_ca(self._common_name, now=now, days=self._life / timedelta(days=1), key=self.key.read_bytes())
            write_private(self.crt, pair.certificate)

    def _renew(self, facts: pki.Facts, now: datetime) -> pki.Facts:
        common, days = facts.names.common_name, self._life / timedelta(days=1)
        if common != self._common_name:
            write_private(self.crt, pki.new_ca(common, now=now, days=days, key=self.key.read_bytes()).certificate)
            return self._facts(self.crt)
        # half-made: a key without a certificate
        if not self._next_crt.exists() or not self._next_key.exists():
            self._put(self._next_crt, self._next_key, pki.new_ca(common, now=now, days=days))
        if now < self._switch_at(facts):
            return facts
        # trusted first, then used: the old one by its own file before the file that it is in changes
        write_private(self._old, self._read(self._old) + self.crt.read_bytes())
        self._trust(now)
        self._put(self.crt, self.key, pki.Pair(self._next_crt.read_bytes(), self._next_key.read_bytes()))
        self._next_key.unlink()
        self._next_crt.unlink()
        return self._facts(self.crt)

    def _switch_at(self, facts: pki.Facts) -> datetime:
        following = self._facts(self._next_crt)
        return min(facts.not_after, following.not_before + pki.BACKDATE + spread(facts.not_after - facts.not_before - pki.BACKDATE))

    def _trust(self, now: datetime) -> list[datetime]:
        """Write the bundle; when those in it that signed once will have ended."""
        old = {one: pki.facts_of(one).not_after for one in blocks(self._read(self._old))}
        kept = [one for one, end in old.items() if end > now]
        if len(kept) < len(old):
            write_private(self._old, b"".join(kept))
        trusted = [*blocks(self.crt.read_bytes()), *blocks(self._read(self._next_crt)), *kept]
        write_private(self.bundle, b"".join(dict.fromkeys(trusted)))
        return [end for end in old.values() if end > now]

    def _put(self, crt: Path, key: Path, pair: pki.Pair) -> None:
        # the key first: a crash in between leaves a key whose certificate is made or found again, and who reads meanwhile
        # finds two files, which do not belong together for a moment
        write_private(key, pair.key)
        write_private(crt, pair.certificate)

    def _facts(self, crt: Path) -> pki.Facts:
        try:
            return pki.facts_of(crt.read_bytes())
        except pki.BadCertificate as error:
            raise ConfigError(f"{crt} can't be read: {error.message}", hint="restore it, or remove it and its key "
                              "and they are made anew") from error

    @staticmethod
    def _read(path: Path) -> bytes:
        return path.read_bytes() if path.exists() else b""


class SigningKeys:
    """The keys of service account tokens in a folder. `NAME.json` remembers since when, and until when old ones verify."""

    def __init__(self, folder: Path, name: str, lifetimes: Lifetimes) -> None:
        self._lifetimes = lifetimes
        self.key, self.public = folder / f"{name}.key", folder / f"{name}.pub"
        self._next, self._memory = folder / f"{name}-next.key", folder / f"{name}.json"

    def step(self, now: datetime) -> State:
        """Do what is due."""
        if not self.key.exists():
            write_private(self.key, pki.new_signing_key())
        own, memory = pki.public_key(self.key.read_bytes()).decode(), self._remembered()
        retired: dict[str, str] = memory["retired"]
        # a public half that is there and is nobody's was put there to be trusted
        for one in blocks(self.public.read_bytes()) if self.public.exists() else ():
            if one.decode() not in (own, memory["following"]):
                retired.setdefault(one.decode(), (now + self._lifetimes.tokens).isoformat())
        made = datetime.fromisoformat(memory["made"]) if memory["of"] == own else now
        switch = made + self._lifetimes.signing_key
        prepare = switch - spread(self._lifetimes.signing_key)
        if now >= prepare and not self._next.exists():
            write_private(self._next, pki.new_signing_key())
        if now >= switch:
            retired[own] = (now + self._lifetimes.tokens).isoformat()
            self._save(memory, self._next.read_bytes(), now, now)
            self._next.replace(self.key)
            return self.step(now)
        following = self._next.read_bytes() if self._next.exists() else b""
        retired.pop(own, None)
        self._save({**memory, "of": own, "following": pki.public_key(following).decode() if following else ""},
                   self.key.read_bytes(), made, now)
        ends = [datetime.fromisoformat(until) for until in retired.values()]
        return State(self.public, min([switch if following else prepare, *(end for end in ends if end > now)]))

    def _save(self, memory: dict[str, Any], signer: bytes, made: datetime, now: datetime) -> None:
        """What verifies first, so that nothing is signed that nobody can verify."""
        own = pki.public_key(signer).decode()
        retired = {one: until for one, until in memory["retired"].items() if datetime.fromisoformat(until) > now}
        trusted = [own, memory["following"], *retired]
        write_private(self.public, "".join(dict.fromkeys(trusted)).encode())
        new = {"of": own, "made": made.isoformat(), "following": "" if memory["following"] == own else memory["following"], "retired": retired}
        write_private(self._memory, json.dumps(new, indent=1).encode() + b"\n")

    def _remembered(self) -> dict[str, Any]:
        try:
            found = json.loads(self._memory.read_bytes())
            datetime.fromisoformat(found["made"])
            for until in found["retired"].values():
                datetime.fromisoformat(until)
            return {"of": str(found["of"]), "made": str(found["made"]), "following": str(found["following"]), "retired": dict(found["retired"])}
        except FileNotFoundError:
            pass  # the first start, or a folder that somebody else made
        except (ValueError, KeyError, AttributeError, TypeError):
            pass  # only a memory: the key's time starts anew, and what verified goes on verifying
        return {"of": "", "made": "", "following": "", "retired": {}}
