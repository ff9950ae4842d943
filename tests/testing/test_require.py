"""Missing prerequisites: a skip on a laptop, a failure in CI, but for what kernels may lack."""

from __future__ import annotations

import pytest

from sampan.testing import require


def test_a_missing_program_skips_here_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="apt-get install some-package"):
        require.program("no-such-program", package="some-package")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program"):
        require.program("no-such-program")


def test_what_a_kernel_may_lack_skips_in_ci_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.skip.Exception, match="IPVS"):
        require.kernel("IPVS", lambda: False)
    require.kernel("IPVS", lambda: True)
    with pytest.raises(ValueError, match="not in KERNEL_MAY_LACK"):
        require.kernel("memory", lambda: False)


def test_what_is_here_is_found() -> None:
    assert require.program("sh").endswith("/sh")
    assert require.path("/").is_dir()
