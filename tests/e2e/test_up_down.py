"""`make up` and `make down`, as a newcomer runs them: a page is served, a second time changes nothing, nothing stays behind."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.real import Cluster, machine, sampan
from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]


def _recipe(target: str) -> list[list[str]]:
    """The commands of a target of the Makefile, as `make` would run them."""
    done = subprocess.run(["make", "-n", "--no-print-directory", "-W", "nothing", target, "NAME=walk"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines() if line.split()[0].endswith("/sampan") or "examples/hello" in line]


def _run(target: str, home: Path) -> str:
    said = ""
    for words in _recipe(target):
        # the Makefile's own environment is this one
        command = [sys.executable, "-m", "sampan", *words[1:]] if words[0].endswith("sampan") else [sys.executable, *words[1:]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ, "SAMPAN_HOME": str(home)})
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        said += done.stdout
    return said


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    require.containers()
    require.program("make")
    yield tmp_path
    sampan("down", "--name", "walk", "--purge", SAMPAN_HOME=str(tmp_path))


def test_up_twice_serves_a_page_and_down_leaves_the_machine_as_it_was(home: Path) -> None:
    # given
    assert [Path(words[0]).name for words in _recipe("up")] == ["sampan", "python"]
    before = machine(str(home))
    # when
    said = _run("up", home)
    # then
    url = next(word for word in said.split() if word.startswith("http://"))
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        assert b"Hello from Sampan" in answer.read()
    # when again
    cluster = Cluster(home, "walk")
    pods, pids = cluster.get("pods"), cluster.tasks()
    assert "was up already" in _run("up", home)
    # then nothing changed
    assert [one["metadata"]["resourceVersion"] for one in cluster.get("pods")["items"]] == [one["metadata"]["resourceVersion"] for one in pods["items"]]
    assert cluster.tasks() == pids
    # when
    assert "is down" in _run("down", home)
    # then
    assert machine(str(home)).more_than(before) == {}
    assert "was not up" in _run("down", home)
    # and what was there comes back
    _run("up", home)
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        assert b"Hello from Sampan" in answer.read()
    assert {one["metadata"]["uid"] for one in cluster.get("pods")["items"]} == {one["metadata"]["uid"] for one in pods["items"]}


def test_down_cleans_up_after_processes_that_were_killed(home: Path) -> None:
    # given a cluster whose every process dies at once
    before = machine(str(home))
    _run("up", home)
    cluster = Cluster(home, "walk")
    containerd = int(Path(cluster.socket).with_name("containerd.pid").read_text())
    pids = [*cluster.tasks().values()]
    for pid in (cluster.process("supervisor"), cluster.process(cluster.node), cluster.process("control-plane"), containerd):
        os.kill(pid, 9)
    # when
    _run("down", home)
    # then
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert machine(str(home)).more_than(before) == {}


RESOLVER = """
import socket
from dnslib import DNSRecord, QTYPE, RCODE, RR
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
    here.bind(("127.0.0.53", 53))
    while True:
        asked, peer = here.recvfrom(4096)
        question = DNSRecord.parse(asked)
        reply = question.reply()
        if str(question.q.qname) != "outside.example.":
            reply.header.rcode = RCODE.NXDOMAIN
        elif question.q.qtype == QTYPE.A:
            reply.add_answer(*RR.fromZone("outside.example. 60 A 198.51.100.7"))
        here.sendto(reply.pack(), peer)
"""
ASK = "import sys; from dnslib import DNSRecord; print('from the host:', DNSRecord.parse(DNSRecord.question('outside.example').send(sys.argv[1], 53, timeout=5)).short())"
ALONE = """
ip link set lo up
mount --bind "$HOME/resolv.conf" /etc/resolv.conf
cat /proc/sys/net/ipv4/ip_forward
"$PYTHON" -c "$RESOLVER" & resolver=$!
trap 'kill $resolver' EXIT
"$PYTHON" -m sampan up --name walk
"$PYTHON" examples/hello/run.py --name walk
kubectl exec deployment/hello -- nslookup outside.example
"$PYTHON" -c "$ASK" "$(kubectl get service -n kube-system kube-dns -o jsonpath='{.spec.clusterIP}')"
"$PYTHON" -m sampan down --name walk
ip -o link
cat /proc/sys/net/ipv4/ip_forward
"""


def test_a_machine_without_a_network_serves_too_and_names_go_to_its_resolver(home: Path) -> None:
    """In namespaces with a loopback interface and a resolver on it, and nothing else."""
    require.program("kubectl")
    (home / "resolv.conf").write_text("nameserver 127.0.0.53\n")
    cluster = Cluster(home, "walk")
    done = subprocess.run(["unshare", "-n", "-m", "sh", "-ec", ALONE], cwd=ROOT, capture_output=True, text=True, check=False,
                          env={**cluster.environment, "PYTHON": sys.executable, "RESOLVER": RESOLVER, "ASK": ASK})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello: 3 pods serve" in done.stdout
    assert "Address: 198.51.100.7" in done.stdout
    assert "from the host: 198.51.100.7" in done.stdout
    left = done.stdout.partition("is down")[2]
    assert "sampan" not in left
    assert left.split()[-1] == done.stdout.split()[0], "forwarding is not what it was before"
