"""Rules as nftables: verdict maps from (address, protocol, port) to one chain a Service port. Pure rendering.

A lookup costs the same with ten Services or ten thousand. A change is rendered as the difference to what is
loaded, in one batch that `nft -f -` applies atomically, so that affinity and connections of other Services stay.
Traffic of a Service without endpoints is refused before it is routed. Source: kube-proxy `pkg/proxy/nftables`
(KEP-3866).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sampan.network.proxy.rules import Rule, Target

MASQUERADE_MARK = "0x4000"


@dataclass(frozen=True)
class Settings:
    """The table's name and the ranges that pods live in, by family (4, 6)."""

    table: str = "sampan"
    pod_ranges: Mapping[int, str] = field(default_factory=dict)
    service_ranges: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Ruleset:
    """One family's part that comes from Services: chains by name, elements by map, affinity sets by name."""

    chains: Mapping[str, tuple[str, ...]]
    elements: Mapping[str, Mapping[str, str]]
    sets: Mapping[str, int]  # affinity set → timeout in seconds


MAPS = {
    "service-ips": "{addr} . inet_proto . inet_service : verdict",
    "service-nodeports": "inet_proto . inet_service : verdict",
    "no-endpoint-services": "{addr} . inet_proto . inet_service : verdict",
    "no-endpoint-nodeports": "inet_proto . inet_service : verdict",
}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _chain_name(kind: str, rule: Rule, extra: str = "") -> str:
    readable = rule.service.replace("/", "_").replace(".", "_")[:60]
    return f"{kind}-{_hash(rule.key + extra)}-{readable}"


def _endpoint_name(rule: Rule, target: Target) -> str:
    return _chain_name("endpoint", rule, f"{target.ip}:{target.port}")


def _bracketed(target: Target) -> str:
    return f"[{target.ip}]:{target.port}" if ":" in target.ip else f"{target.ip}:{target.port}"


def _pick(targets: tuple[Target, ...], rule: Rule, ip: str) -> list[str]:
    """Affinity first, then one endpoint at random."""
    lines = []
    if rule.affinity_seconds:
        lines += [f"{ip} saddr @affinity-{_endpoint_name(rule, t)[9:]} goto {_endpoint_name(rule, t)}" for t in targets]
    if len(targets) == 1:
        lines.append(f"goto {_endpoint_name(rule, targets[0])}")
    else:
        choices = ", ".join(f"{i} : goto {_endpoint_name(rule, t)}" for i, t in enumerate(targets))
        lines.append(f"numgen random mod {len(targets)} vmap {{ {choices} }}")
    return lines


def desired(rules: Iterable[Rule], family: int, settings: Settings) -> Ruleset:
    """What the table of one family should hold."""
    ip = "ip" if family == 4 else "ip6"
    chains: dict[str, tuple[str, ...]] = {}
    elements: dict[str, dict[str, str]] = {name: {} for name in MAPS}
    sets: dict[str, int] = {}
    pods = settings.pod_ranges.get(family, "")
    for rule in rules:
        if rule.family != family:
            continue
        for target in sorted({*rule.cluster, *rule.external}):
            chains[_endpoint_name(rule, target)] = tuple(_endpoint_chain(rule, target, ip))
            if rule.affinity_seconds:
                sets[f"affinity-{_endpoint_name(rule, target)[9:]}"] = rule.affinity_seconds
        inside = f"{rule.cluster_ip} . {rule.protocol} . {rule.port}"
        if rule.cluster:
            name = _chain_name("service", rule)
            # traffic that does not come from a pod may not find its way back on its own
            masquerade = [f"{ip} daddr {rule.cluster_ip} {ip} saddr != {pods} jump mark-for-masquerade"] if pods else []
            chains[name] = (*masquerade, *_pick(rule.cluster, rule, ip))
            elements["service-ips"][inside] = f"goto {name}"
        else:
            elements["no-endpoint-services"][inside] = "drop" if rule.drop_internal else "goto reject-chain"
        _external(rule, ip, pods, chains, elements)
    return Ruleset(chains, elements, sets)


def _endpoint_chain(rule: Rule, target: Target, ip: str) -> list[str]:
    lines = [f"{ip} saddr {target.ip} jump mark-for-masquerade"]  # hairpin
    if rule.affinity_seconds:
        lines.append(f"update @affinity-{_endpoint_name(rule, target)[9:]} {{ {ip} saddr }}")
    lines.append(f"meta l4proto {rule.protocol} dnat to {_bracketed(target)}")
    return lines


def _external(rule: Rule, ip: str, pods: str, chains: dict[str, tuple[str, ...]], elements: dict[str, dict[str, str]]) -> None:
    if not rule.node_port and not rule.external_ips:
        return
    refused = "drop" if rule.drop_external else "goto reject-chain"
    # pods and this machine itself may use every endpoint, whatever the policy for those from outside
    has_any = bool(rule.external) or (rule.external_local and bool(rule.cluster))
    name = _chain_name("external", rule)
    if has_any:
        lines = []
        if rule.source_ranges and rule.external_ips:
            addresses = ", ".join(rule.external_ips)
            lines.append(f"{ip} daddr {{ {addresses} }} {ip} saddr != {{ {', '.join(rule.source_ranges)} }} drop")
        if rule.external_local:
            if rule.cluster:
                short = _chain_name("service", rule)
                if pods:
                    lines.append(f"{ip} saddr {pods} goto {short}")
                lines.append("fib saddr type local jump mark-for-masquerade")
                lines.append(f"fib saddr type local goto {short}")
        else:
            lines.append("jump mark-for-masquerade")
        lines += _pick(rule.external, rule, ip) if rule.external else [refused if refused == "drop" else "drop"]
        chains[name] = tuple(lines)
    for address in rule.external_ips:
        key = f"{address} . {rule.protocol} . {rule.port}"
        elements["service-ips" if has_any else "no-endpoint-services"][key] = f"goto {name}" if has_any else refused
    if rule.node_port:
        key = f"{rule.protocol} . {rule.node_port}"
        elements["service-nodeports" if has_any else "no-endpoint-nodeports"][key] = f"goto {name}" if has_any else refused


def _table(family: int, settings: Settings) -> str:
    return f"{'ip' if family == 4 else 'ip6'} {settings.table}"


def base(family: int, settings: Settings) -> list[str]:
    """A fresh table with its hooks and empty maps; loading it forgets what was there."""
    table, ip = _table(family, settings), "ip" if family == 4 else "ip6"
    address = "ipv4_addr" if family == 4 else "ipv6_addr"
    pods = settings.pod_ranges.get(family, "")
    reject = "icmp" if family == 4 else "icmpv6"
    lines = [f"add table {table}", f"delete table {table}", f"add table {table}"]
    lines += [f"add map {table} {name} {{ type {kind.format(addr=address)} ; }}" for name, kind in MAPS.items()]
    hooks = {
        "nat-prerouting": "nat hook prerouting priority dstnat",
        "nat-output": "nat hook output priority -100",
        "nat-postrouting": "nat hook postrouting priority srcnat",
        "filter-prerouting": "filter hook prerouting priority -110",
        "filter-output": "filter hook output priority -110",
    }
    lines += [f"add chain {table} {name} {{ type {hook} ; }}" for name, hook in hooks.items()]
    lines += [f"add chain {table} {name}" for name in ("services", "refused", "mark-for-masquerade", "masquerading", "reject-chain")]
    local = f"fib daddr type local {ip} daddr != {'127.0.0.0/8' if family == 4 else '::1'}"
    key = f"{ip} daddr . meta l4proto . th dport"
    rules = {
        "nat-prerouting": ["jump services"],
        "nat-output": ["jump services"],
        "nat-postrouting": ["jump masquerading"],
        "filter-prerouting": ["ct state new jump refused"],
        "filter-output": ["ct state new jump refused"],
        "services": [f"{key} vmap @service-ips", f"{local} meta l4proto . th dport vmap @service-nodeports"],
        "refused": [f"{key} vmap @no-endpoint-services", f"{local} meta l4proto . th dport vmap @no-endpoint-nodeports"],
        "mark-for-masquerade": [f"meta mark set meta mark or {MASQUERADE_MARK}"],
        "masquerading": [
            f"meta mark and {MASQUERADE_MARK} != 0 meta mark set meta mark xor {MASQUERADE_MARK} masquerade fully-random",
            *([f"{ip} saddr {pods} {ip} daddr != {pods} fib daddr type != {{ local, multicast, broadcast }} masquerade fully-random"] if pods else []),
        ],
        "reject-chain": ["meta l4proto tcp reject with tcp reset", f"reject with {reject} type port-unreachable"],
    }
    return lines + [f"add rule {table} {chain} {text}" for chain, texts in rules.items() for text in texts]


def changes(new: Ruleset, old: Ruleset | None, family: int, settings: Settings) -> list[str]:
    """The commands from `old` to `new`; from nothing (`None`), with the base table before them."""
    table = _table(family, settings)
    lines = base(family, settings) if old is None else []
    had = old or Ruleset({}, {}, {})
    address = "ipv4_addr" if family == 4 else "ipv6_addr"
    for name, seconds in new.sets.items():
        if had.sets.get(name) != seconds:
            lines.append(f"add set {table} {name} {{ type {address} ; flags dynamic,timeout ; timeout {seconds}s ; }}")
    changed = [name for name, rules in new.chains.items() if had.chains.get(name) != rules]
    lines += [f"add chain {table} {name}" for name in changed]
    lines += [f"flush chain {table} {name}" for name in changed if name in had.chains]
    lines += [f"add rule {table} {name} {rule}" for name in changed for rule in new.chains[name]]
    for map_name in MAPS:
        before, after = had.elements.get(map_name, {}), new.elements.get(map_name, {})
        gone = [f"{key} : {value}" for key, value in before.items() if after.get(key) != value]
        come = [f"{key} : {value}" for key, value in after.items() if before.get(key) != value]
        lines += [f"delete element {table} {map_name} {{ {', '.join(gone)} }}"] if gone else []
        lines += [f"add element {table} {map_name} {{ {', '.join(come)} }}"] if come else []
    # chains point at one another: empty all that go before deleting any
    dead = [name for name in had.chains if name not in new.chains]
    lines += [f"flush chain {table} {name}" for name in dead]
    lines += [f"delete chain {table} {name}" for name in sorted(dead, key=lambda name: name.startswith("endpoint-"))]
    lines += [f"delete set {table} {name}" for name in had.sets if name not in new.sets]
    return lines


def removal(settings: Settings) -> list[str]:
    """Commands that leave nothing of ours, whether it was there or not."""
    return [line for family in (4, 6) for line in (f"add table {_table(family, settings)}", f"delete table {_table(family, settings)}")]
