"""The built-in commands of simulated containers."""

from __future__ import annotations

import asyncio

import pytest

from sampan.aio.clock import VirtualClock
from sampan.node.runtimes.programs import Pipe, Process, built_in, run_built_in


def run(*argv: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    outputs = ["", ""]

    async def emit(data: bytes, error: bool) -> None:
        outputs[error] += data.decode()

    async def body() -> int:
        pipe, clock = Pipe(), VirtualClock()
        await pipe.write(stdin)
        await pipe.close()
        work = asyncio.gather(run_built_in(Process(argv, env or {}, clock, "c", "n/p", emit, stdin=pipe)))
        await clock.advance(10_000)
        return (await work)[0]
    return asyncio.run(body()), outputs[0], outputs[1]


@pytest.mark.parametrize(("script", "code", "out", "err"), [
    ("echo one; echo two", 0, "one\ntwo\n", ""),
    ("echo 'a b' && echo c", 0, "a b\nc\n", ""),
    ("false && echo no", 1, "", ""),
    ("true || echo no", 0, "", ""),
    ("exit 7; echo no", 7, "", ""),
    ("echo err >&2", 0, "", "err\n"),
    ("sleep 5 && echo slept", 0, "slept\n", ""),
    ("nonsense", 127, "", "sh: nonsense: not found\n"),
    ("", 0, "", ""),
])
def test_a_shell_runs_simple_scripts(script: str, code: int, out: str, err: str) -> None:
    assert run("/bin/sh", "-c", script) == (code, out, err)


def test_cat_copies_and_env_lists() -> None:
    assert run("cat", stdin=b"hello") == (0, "hello", "")
    assert run("env", env={"A": "1"}) == (0, "A=1\n", "")
    assert run("cat", "/etc/x")[0] == 1


@pytest.mark.parametrize("words", [("sleep", "1h", "30m"), ("sleep", "2.5")])
def test_sleep_understands_units(words: tuple[str, ...]) -> None:
    assert run(*words) == (0, "", "")


def test_a_server_is_not_built_in() -> None:
    assert built_in(["/bin/sleep", "1"])
    assert not built_in(["nginx", "-g", "daemon off;"])
    assert not built_in([])
    assert built_in(["sh", "-c", "sleep 5 && echo done; exit 3"])
    for script in ("while true; do sleep 1; done", "httpd -f", "echo 'open", "echo $(date)", "(echo a)"):
        assert not built_in(["sh", "-c", script]) or "$" in script
