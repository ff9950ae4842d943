"""NetworkPolicy: which traffic the pods of a namespace accept and send.

Source: kubernetes `pkg/apis/networking/{validation/validation.go,v1/defaults.go}`.
"""

from __future__ import annotations

from sampan.api import addresses, field, names, selectors
from sampan.api.networking.v1 import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from sampan.api.resources import NETWORK_POLICIES
from sampan.kinds import checks, meta
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age

PROTOCOLS = ("TCP", "UDP", "SCTP")
TYPES = ("Ingress", "Egress")


def default(policy: NetworkPolicy) -> None:
    spec = policy.spec
    if not spec.policyTypes:
        spec.policyTypes = ["Ingress", "Egress"] if spec.egress else ["Ingress"]
    for ports in [rule.ports for rule in spec.ingress] + [rule.ports for rule in spec.egress]:
        for port in ports:
            if port.protocol is None:
                port.protocol = "TCP"


def validate(policy: NetworkPolicy) -> Findings:
    return _validate(policy, ())


def _validate(policy: NetworkPolicy, known: tuple[str, ...]) -> Findings:
    spec = policy.spec
    out = checks.label_selector(spec.podSelector, "spec.podSelector")
    for direction, place, rules in (
        ("ingress", "from", [(rule.ports, rule.from_) for rule in spec.ingress]),
        ("egress", "to", [(rule.ports, rule.to) for rule in spec.egress]),
    ):
        for index, (ports, peers) in enumerate(rules):
            at = f"spec.{direction}[{index}]"
            for number, port in enumerate(ports):
                out += _port(port, f"{at}.ports[{number}]")
            for number, peer in enumerate(peers):
                out += _peer(peer, f"{at}.{place}[{number}]", known)
    if len(spec.policyTypes) > len(TYPES):
        return [*out, field.invalid("spec.policyTypes", spec.policyTypes, "may not specify more than two policyTypes")]
    for index, one in enumerate(spec.policyTypes):
        out += checks.one_of(one, TYPES, f"spec.policyTypes[{index}]")
    return out


def _port(port: NetworkPolicyPort, at: str) -> Findings:
    out: Findings = []
    if port.protocol is not None:
        out += checks.one_of(port.protocol, PROTOCOLS, f"{at}.protocol")
    end, end_at = port.endPort, f"{at}.endPort"
    if isinstance(port.port, int):
        out += field.invalid_each(f"{at}.port", port.port, names.port_number(port.port))
        if end is not None:
            if end < port.port:
                out.append(field.invalid(end_at, port.port, "must be greater than or equal to `port`"))
            out += field.invalid_each(end_at, end, names.port_number(end))
    elif port.port is not None:
        if end is not None:
            out.append(field.invalid(end_at, end, "may not be specified when `port` is non-numeric"))
        out += checks.named(port.port, names.port_name, f"{at}.port")
    elif end is not None:
        out.append(field.invalid(end_at, end, "may not be specified when `port` is not specified"))
    return out


def _peer(peer: NetworkPolicyPeer, at: str, known: tuple[str, ...]) -> Findings:
    out = checks.label_selector(peer.podSelector, f"{at}.podSelector")
    out += checks.label_selector(peer.namespaceSelector, f"{at}.namespaceSelector")
    by_labels = peer.podSelector is not None or peer.namespaceSelector is not None
    if peer.ipBlock is not None:
        out += _block(peer.ipBlock, f"{at}.ipBlock", known)
        if by_labels:
            out.append(field.forbidden(at, "may not specify both ipBlock and another peer"))
    elif not by_labels:
        out.append(field.required(at, "must specify a peer"))
    return out


def _block(block: IPBlock, at: str, known: tuple[str, ...]) -> Findings:
    """`known` CIDRs stood in the policy before: however they are written, they may stay."""
    if not block.cidr:
        return [field.required(f"{at}.cidr")]
    out = addresses.cidr_for_legacy_field(f"{at}.cidr", block.cidr, old=known)
    whole = addresses.parse_cidr_sloppy(block.cidr)
    if whole is None:
        return out
    for index, text in enumerate(block.except_):
        out += addresses.cidr_for_legacy_field(f"{at}.except[{index}]", text, old=known)
        part = addresses.parse_cidr_sloppy(text)
        if part is None:
            continue
        inside = part.version == whole.version and part.network_address in whole and part.prefixlen > whole.prefixlen
        if not inside:
            out.append(field.invalid(f"{at}.except[{index}]", text, "must be a strict subset of `cidr`"))
    return out


def _cidrs(policy: NetworkPolicy) -> tuple[str, ...]:
    peers = [peer for rule in policy.spec.ingress for peer in rule.from_]
    peers += [peer for rule in policy.spec.egress for peer in rule.to]
    return tuple(text for peer in peers if peer.ipBlock for text in (peer.ipBlock.cidr, *peer.ipBlock.except_))


def warnings(new: NetworkPolicy, old: NetworkPolicy | None) -> list[str]:
    out: list[str] = []
    for direction, place, rules in (
        ("ingress", "from", [rule.from_ for rule in new.spec.ingress]),
        ("egress", "to", [rule.to for rule in new.spec.egress]),
    ):
        for index, peers in enumerate(rules):
            for number, peer in enumerate(peers):
                if peer.ipBlock is None:
                    continue
                at = f"spec.{direction}[{index}].{place}[{number}].ipBlock"
                out += addresses.cidr_warnings(f"{at}.cidr", peer.ipBlock.cidr)
                for part, text in enumerate(peer.ipBlock.except_):
                    out += addresses.cidr_warnings(f"{at}.except[{part}]", text)
    return out


KIND: Kind[NetworkPolicy] = Kind(
    resource=NETWORK_POLICIES,
    default=default,
    prepare_create=meta.first_generation,
    prepare_update=meta.bump_generation,
    validate=validate,
    columns=(
        Column("Name", lambda policy, _: policy.metadata.name, format="name"),
        Column("Pod-Selector", lambda policy, _: selectors.format_column(policy.spec.podSelector)),
        Column("Age", age),
    ),
    warnings=warnings,
)
