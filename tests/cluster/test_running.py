"""The event loop of a process, and that each kind of process loads what it needs only."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from sampan.cluster.running import run, until_signalled


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_work_goes_on_until_a_signal(number: signal.Signals) -> None:
    ended: list[str] = []

    async def work() -> None:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    async def main() -> None:
        await until_signalled(work)
        ended.append("over")

    run(main())
    assert ended == ["cancelled", "over"]


def test_work_that_fails_ends_the_process_with_its_failure() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        run(until_signalled(work))


START = "import sys; from sampan.cluster import components; from sampan.cluster.components import *; from pathlib import Path\n"
SHOW = "\nprint(' '.join(sorted({'.'.join(name.split('.')[:2]) for name in sys.modules if name.startswith(('sampan.', 'numpy', 'uvicorn'))})))"


@pytest.mark.parametrize(("start", "foreign"), [
    ("run_controllers(ControllersConfig(Path('none')))", {"sampan.apiserver", "sampan.scheduler", "sampan.store", "numpy", "uvicorn"}),
    ("run_scheduler(SchedulerConfig(Path('none')))", {"sampan.apiserver", "sampan.store", "uvicorn"}),
])
def test_each_process_imports_its_own_component_only(start: str, foreign: set[str]) -> None:
    # given a process that gets as far as reading its kubeconfig, which isn't there
    code = f"{START}try:\n    {start}\nexcept Exception as error:\n    assert 'none' in str(error)\n{SHOW}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # then
    loaded = set(done.stdout.split())
    assert "sampan.client" in loaded
    assert loaded & foreign == set()
