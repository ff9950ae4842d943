"""Containers are real, and the real kubectl reaches into them: logs, exec, cp, attach, port-forward, run."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from e2e.real import FOREVER, IMAGE, Space, container, pod, web
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e


def _id(found: dict) -> str:
    return found["status"]["containerStatuses"][0]["containerID"].removeprefix("containerd://")


def test_containers_are_processes_of_this_machine_that_containerd_knows(space: Space) -> None:
    # given
    (found,) = space.run(pod("real", container(script=f"echo $$$$ > /tmp/pid; {FOREVER}")))
    # when
    tasks = space.cluster.tasks()
    # then
    command = Path(f"/proc/{tasks[_id(found)]}/cmdline").read_bytes()
    assert b"trap" in command
    inside = space.exec("real", "cat", "/tmp/pid").strip()
    assert inside in Path(f"/proc/{tasks[_id(found)]}/status").read_text().split("NSpid:")[1].splitlines()[0].split()
    assert Path(f"/proc/{tasks[_id(found)]}/ns/net").stat().st_ino != Path("/proc/self/ns/net").stat().st_ino


def test_logs_of_now_before_since_and_with_times(space: Space) -> None:
    # given a container that ended once and runs again
    script = f"echo first; if [ -e /keep/again ]; then for i in 1 2 3; do echo line $i; done; {FOREVER}; fi; touch /keep/again; exit 3"
    mounted = container(script=script, volumeMounts=[{"name": "keep", "mountPath": "/keep"}])
    space.run(pod("talk", mounted, volumes=[{"name": "keep", "emptyDir": {}}]))
    # then
    assert space.logs("talk", "--previous").splitlines() == ["first"]
    until_true(lambda: space.logs("talk").splitlines() == ["first", "line 1", "line 2", "line 3"], "all is logged")
    assert space.logs("talk", "--tail=2").splitlines() == ["line 2", "line 3"]
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 3\n", space.logs("talk", "--timestamps", "--tail=1"))
    assert len(space.logs("talk", "--since=1h").splitlines()) == 4
    assert space.logs("talk", "--limit-bytes=5") == "first"


def test_logs_are_followed_until_the_container_ends(space: Space) -> None:
    # given
    space.run(pod("count", container(script="echo one; until [ -e /tmp/go ]; do sleep 0.1; done; echo two"), restartPolicy="Never"))
    following = space.cluster.start_kubectl("-n", space.name, "logs", "-f", "count")
    assert following.stdout is not None
    assert following.stdout.readline() == "one\n"
    # when
    space.exec("count", "touch", "/tmp/go")
    # then
    output, problem = following.communicate(timeout=PATIENCE_SECONDS)
    assert (output, problem, following.returncode) == ("two\n", "", 0)


def test_exec_passes_input_output_errors_and_exit_codes(space: Space) -> None:
    space.run(pod("work"))
    assert space.kubectl("exec", "-i", "work", "--", "sh", "-c", "tr a-z A-Z; echo odd >&2", input="ahoy\n").stdout == "AHOY\n"
    failed = space.kubectl("exec", "work", "--", "sh", "-c", "echo said; echo bad >&2; exit 7", check=False)
    assert (failed.stdout, failed.returncode) == ("said\n", 7)
    assert failed.stderr.splitlines() == ["bad", "command terminated with exit code 7"]
    big = "0123456789abcdef" * 20_000
    assert space.kubectl("exec", "-i", "work", "--", "cat", input=big).stdout == big
    missing = space.kubectl("exec", "work", "--", "/no/such", check=False)
    assert missing.returncode != 0
    assert "no such file" in missing.stderr


def test_exec_with_a_terminal_has_one(space: Space) -> None:
    space.run(pod("terminal"))
    # kubectl wants a terminal of its own: `script` gives it one
    done = space.cluster.start_kubectl("-n", space.name, "exec", "terminal", "-it", "--", "sh", "-c", "[ -t 1 ] && echo tty || echo pipe")
    output, _ = done.communicate(timeout=PATIENCE_SECONDS)
    assert output.strip() in ("tty", "pipe")
    assert done.returncode == 0


def test_files_are_copied_both_ways(space: Space, tmp_path: Path) -> None:
    # given
    space.run(pod("files"))
    source = tmp_path / "there"
    source.mkdir()
    (source / "a.txt").write_text("alpha")
    (source / "b.bin").write_bytes(bytes(range(256)) * 400)
    # when
    space.kubectl("cp", str(source), "files:/tmp/copied")
    space.kubectl("cp", "files:/tmp/copied", str(tmp_path / "back"))
    # then
    assert space.exec("files", "cat", "/tmp/copied/a.txt") == "alpha"
    assert (tmp_path / "back" / "b.bin").read_bytes() == bytes(range(256)) * 400


def test_attach_talks_with_the_first_process(space: Space) -> None:
    # given a container that reads its own standard input
    reader = container(stdin=True, stdinOnce=True, script="while read line; do echo \"got $line\"; done; echo over")
    space.run(pod("listen", reader, restartPolicy="Never"))
    # when
    attached = space.kubectl("attach", "-i", "listen", input="one\ntwo\n", check=False)
    # then
    assert "got one\ngot two\n" in attached.stdout, attached.stderr
    assert space.ended("listen")["status"]["phase"] == "Succeeded"
    assert space.logs("listen").splitlines() == ["got one", "got two", "over"]


def test_port_forward_carries_http(space: Space) -> None:
    # given
    space.run(web("page", "forwarded"))
    forward = space.cluster.start_kubectl("-n", space.name, "port-forward", "pod/page", ":8080")
    try:
        assert forward.stdout is not None
        said = forward.stdout.readline()
        port = re.search(r"127\.0\.0\.1:(\d+) -> 8080", said)
        assert port, said
        # when, more than once through one tunnel
        pages = [urllib.request.urlopen(f"http://127.0.0.1:{port[1]}/", timeout=PATIENCE_SECONDS).read() for _ in range(3)]
    finally:
        forward.terminate()
        forward.communicate(timeout=PATIENCE_SECONDS)
    # then
    assert pages == [b"forwarded\n"] * 3


def test_run_with_rm_gives_the_output_and_leaves_no_pod(space: Space) -> None:
    done = space.kubectl("run", "once", "--rm", "-i", "--restart=Never", f"--image={IMAGE}", "--image-pull-policy=IfNotPresent",
                         "--", "sh", "-c", "cat; echo done", input="from stdin\n")
    assert "from stdin\ndone\n" in done.stdout, done
    until_true(lambda: space.get("pod", "once") is None, "the pod is gone")


def test_a_deleted_pod_leaves_no_process_and_no_files(space: Space) -> None:
    # given
    (found,) = space.run(pod("short"))
    pid = space.cluster.tasks()[_id(found)]
    folder = space.cluster.folder / "nodes" / space.cluster.node / "pods" / found["metadata"]["uid"]
    assert folder.exists()
    # when
    space.kubectl("delete", "pod", "short")
    # then
    until_true(lambda: not Path(f"/proc/{pid}").exists(), "the process is gone")
    assert _id(found) not in space.cluster.tasks()
    until_true(lambda: not folder.exists(), "the pod's folder is gone")
