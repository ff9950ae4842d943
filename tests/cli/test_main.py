"""The `sampan` command: words, help, and that errors are told in lines, without a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sampan.cli.main import COMMANDS, main
from sampan.testing.ports import free_port


def test_help_names_every_command_and_loads_none_of_them() -> None:
    code = ("import sys; from sampan.cli.main import main\n"
            "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
            "heavy = [name for name in sys.modules if name.startswith(('sampan.api', 'sampan.cluster', 'asyncio', 'msgspec', 'numpy'))]\n"
            "assert not heavy, heavy")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines() if line.startswith("    ")} >= set(COMMANDS)


@pytest.mark.parametrize("word", COMMANDS)
def test_every_command_says_what_its_flags_are(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([word, "--help"])
    assert end.value.code == 0
    assert COMMANDS[word][1:] in " ".join(capsys.readouterr().out.split())


def test_nothing_to_do_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "COMMAND" in capsys.readouterr().out


@pytest.mark.parametrize(("words", "said"), [
    (["server", "--data", "{}/file/below", "--port", str(free_port())], "{}/file/below can't be made: Not a directory"),
    (["controllers", "--kubeconfig", "{}/none"], "{}/none"),
    (["controllers", "--kubeconfig", "{}/file"], "{}/file"),
    (["controllers", "--kubeconfig", "{}/none", "--root-ca-file", "{}/none"], "--root-ca-file {}/none can't be read: No such file or directory"),
    (["scheduler", "--kubeconfig", "{}/none", "--config", "{}/none"], "{}/none"),
    (["agent", "--kubeconfig", "{}/none"], "{}/none does not exist"),
    (["agent"], "the agent needs to know its cluster"),
    (["agent", "--data", "{}"], "there is no cluster in {}"),
    (["image", "load", "{}/none", "--address", "{}/none"], "no containerd answers at {}/none"),
    (["why", "pod/p", "--kubeconfig", "{}/none"], "{}/none"),
])
def test_what_cannot_be_is_told_in_a_line_or_two(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no kubeconfig: [")
    assert main([word.replace("{}", str(tmp_path)) for word in words]) == 1
    err = capsys.readouterr().err
    assert err.startswith("sampan: ")
    assert said.replace("{}", str(tmp_path)) in err
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 3
