"""What the kernel is told about Services, and that it believes it (marker `kernel`: in a network namespace of its own)."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from sampan.network.proxy.backends.nftables import Ruleset, Settings, changes, desired, removal
from sampan.network.proxy.rules import Rule, Target
from sampan.testing import require

SETTINGS = Settings(pod_ranges={4: "10.244.0.0/16", 6: "fd00:10:244::/56"})
TWO = (Target("10.244.0.2", 8080), Target("10.244.0.3", 8080))


def rule(**given: Any) -> Rule:
    base: dict[str, Any] = {"service": "default/web", "port_name": "http", "protocol": "tcp", "family": 4, "cluster_ip": "10.96.0.5",
                            "port": 80, "cluster": TWO, "external": TWO, "node_port": 30080}
    return Rule(**(base | given))


def test_a_service_with_endpoints_is_one_map_entry_and_one_chain_each() -> None:
    ruleset = desired([rule()], 4, SETTINGS)
    assert list(ruleset.elements["service-ips"]) == ["10.96.0.5 . tcp . 80"]
    assert list(ruleset.elements["service-nodeports"]) == ["tcp . 30080"]
    assert sum(name.startswith("endpoint-") for name in ruleset.chains) == 2


def test_a_service_without_endpoints_is_refused() -> None:
    ruleset = desired([rule(cluster=(), external=())], 4, SETTINGS)
    assert ruleset.elements["no-endpoint-services"] == {"10.96.0.5 . tcp . 80": "goto reject-chain"}
    assert ruleset.elements["no-endpoint-nodeports"] == {"tcp . 30080": "goto reject-chain"}
    assert not ruleset.chains


def test_other_families_are_left_to_their_own_table() -> None:
    assert desired([rule()], 6, SETTINGS) == Ruleset({}, {name: {} for name in desired([], 6, SETTINGS).elements}, {})


def test_no_change_needs_no_commands_and_a_change_touches_one_service_only() -> None:
    other = rule(service="default/other", cluster_ip="10.96.0.6", node_port=0)
    before = desired([rule(), other], 4, SETTINGS)
    assert changes(before, before, 4, SETTINGS) == []
    after = desired([rule(cluster=TWO[:1], external=TWO[:1]), other], 4, SETTINGS)
    assert not any("other" in command for command in changes(after, before, 4, SETTINGS))


STATES = [
    [], [rule()], [rule(affinity_seconds=100)], [rule(cluster=(), external=())],
    [rule(external=(), external_local=True, drop_external=True)], [rule(cluster=TWO[:1], external=TWO[1:], external_local=True)],
    [rule(external_ips=("192.0.2.9",), source_ranges=("198.51.100.0/24",))],
    [rule(protocol="udp"), rule(protocol="sctp", port_name="s", port=81, node_port=30081)], [],
]


@pytest.mark.kernel
def test_the_kernel_takes_every_change_between_states() -> None:
    require.root()
    require.program("nft", package="nftables")
    batches: list[str] = []
    for family in (4, 6):
        before: Ruleset | None = None
        for state in STATES:
            after = desired(state if family == 4 else [], family, SETTINGS)
            batches.append("\n".join(changes(after, before, family, SETTINGS)) + "\n")
            before = after
    batches.append("\n".join(removal(SETTINGS)) + "\n")
    script = "".join(f"nft -f - <<'EOF' || exit {number + 1}\n{batch}EOF\n" for number, batch in enumerate(batches))
    done = subprocess.run(["unshare", "--net", "sh", "-c", script + "nft list tables"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""  # the removal left nothing
