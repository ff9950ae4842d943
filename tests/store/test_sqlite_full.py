"""A disk that is really full: a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.testing import require
from sampan.testing.waiting import PATIENCE_SECONDS

CHILD = Path(__file__).with_name("full_disk_child.py")
UNSHARE = ["unshare", "--mount", "--propagation", "private"] + ([] if os.geteuid() == 0 else ["--map-root-user"])


@pytest.mark.kernel
def test_a_full_disk_refuses_writes_loses_nothing_and_goes_on_when_space_is_back(tmp_path: Path) -> None:
    require.linux()
    require.program("unshare", package="util-linux")
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        require.missing("mount namespaces", "run it with sudo")
    done = subprocess.run([*UNSHARE, sys.executable, str(CHILD), str(tmp_path)], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    assert "refused" in done.stdout
