"""What the CNI plugin `portmap` leaves in iptables: its top chains, and the nft tables that iptables made for them.

Owns: finding and removing them once nothing uses them. The plugin makes them anew when it needs them, so a plugin of
somebody else's loses nothing. Blocking and quick. Source: containernetworking-plugins `plugins/meta/portmap`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterable

PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"
TOP_CHAINS = ("CNI-HOSTPORT-DNAT", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-SETMARK")
TABLES = ("ip nat", "ip6 nat", "ip filter", "ip6 filter")


def removal(saved: str) -> list[list[str]]:
    """The words after `iptables -t nat` that take the plugin's chains away, from what `iptables-save` printed. Pure.

    Nothing where the chains are not there, or still lead to a container.
    """
    lines = saved.splitlines()
    chains = [name for name in TOP_CHAINS if any(line.startswith(f":{name} ") for line in lines)]
    if not chains or any(line.startswith(("-A CNI-HOSTPORT-DNAT ", ":CNI-DN-")) for line in lines):
        return []
    jumps = [line for line in lines if re.search(r" -j CNI-HOSTPORT-\w+$", line) and not line.startswith("-A CNI-")]
    return [*([*_words(jump)] for jump in jumps), *(["-F", name] for name in chains), *(["-X", name] for name in chains)]


def _words(rule: str) -> Iterable[str]:
    """`-A CHAIN …` as the words that delete that rule; the plugin's comments are the only quoted words."""
    yield "-D"
    for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', rule.removeprefix("-A ")):
        yield quoted or plain


def is_bare(listing: str) -> bool:
    """Whether an nft table, as `nft list table` prints it, has base chains that accept, and nothing else. Pure."""
    inside = [line.strip() for line in listing.splitlines() if line.startswith("\t")]
    return all(re.match(r"(chain \w+ \{|\}|type \w+ hook \w+ priority [-\w]+; policy accept;)$", line) for line in inside)


def tables() -> list[str]:
    """The nft tables in iptables' place that are there now."""
    there = _run("nft", "list", "tables").splitlines()
    return [name for name in TABLES if f"table {name}" in there]


def remove_leftovers(before: Collection[str]) -> None:
    """Take the plugin's unused chains away, and the tables of `TABLES` that are bare and were not there `before`."""
    for program in ("iptables", "ip6tables"):
        for words in removal(_run(f"{program}-save", "-t", "nat")):
            _run(program, "-w", "-t", "nat", *words)
    for name in tables():
        if name not in before and is_bare(_run("nft", "list", "table", *name.split())):
            _run("nft", "delete", "table", *name.split())


def _run(program: str, *words: str) -> str:
    """What it prints; nothing where it is missing or fails, since what is not there needs no removing."""
    found = shutil.which(program, path=PATH)
    if found is None:
        return ""
    return subprocess.run([found, *words], capture_output=True, text=True, check=False).stdout
