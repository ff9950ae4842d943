"""What portmap leaves, as `iptables-save` shows it."""

from __future__ import annotations

from sampan.drivers.iptables import is_bare, removal

LEFT = """*nat
:PREROUTING ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
COMMIT
"""


def test_empty_chains_go_with_the_jumps_to_them() -> None:
    words = removal(LEFT)
    assert words[0] == ["-D", "PREROUTING", "-m", "addrtype", "--dst-type", "LOCAL", "-j", "CNI-HOSTPORT-DNAT"]
    assert ["-D", "POSTROUTING", "-m", "comment", "--comment", "CNI portfwd requiring masquerade", "-j", "CNI-HOSTPORT-MASQ"] in words
    assert words[3:] == [[flag, f"CNI-HOSTPORT-{name}"] for flag in ("-F", "-X") for name in ("DNAT", "MASQ", "SETMARK")]


def test_chains_in_use_or_absent_are_left_alone() -> None:
    used = LEFT.replace("COMMIT", "-A CNI-HOSTPORT-DNAT -p tcp -m multiport --dports 8080 -j CNI-DN-0123456789\nCOMMIT")
    assert removal(used) == []
    assert removal("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n") == []
    assert removal("") == []


def test_a_bare_table_has_only_chains_that_accept() -> None:
    bare = "table ip nat {\n\tchain PREROUTING {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n\t}\n}\n"
    assert is_bare(bare)
    assert not is_bare(bare.replace("accept;\n\t}", "accept;\n\t\tip daddr 1.2.3.4 drop\n\t}"))
    assert not is_bare(bare.replace("policy accept", "policy drop"))
