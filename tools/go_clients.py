"""Build the Go clients of `tests/e2e`: helm 3, helm 4 and the operator on controller-runtime, into `build/bin`.

They are one Go module, `tests/e2e/go`, so they share one set of pinned dependencies (`go.sum`) and most of what is
compiled; modules come through the module proxy that Go is set up with. Built once: a digest of the module and of Go's
version lies beside the binaries. Without Go nothing is built and the tests that want the binaries say so.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MODULE = ROOT / "tests" / "e2e" / "go"
PROGRAMS = {"helm3": "helm.sh/helm/v3/cmd/helm", "helm4": "helm.sh/helm/v4/cmd/helm", "operator": "./operator"}
MOST_SECONDS = 1500
"""Of one step. Measured: 20 s of downloads, 4 min of one core for all three."""


def digest(version: str) -> str:
    """What the binaries were made of."""
    found = hashlib.sha256(version.encode())
    for path in sorted(path for path in MODULE.rglob("*") if path.is_file()):
        found.update(str(path.relative_to(MODULE)).encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def environment() -> dict[str, str]:
    """As it is, without a C compiler and without the version control's state in the binaries."""
    flags = " ".join([os.environ.get("GOFLAGS", ""), "-buildvcs=false", "-mod=readonly"]).strip()
    return {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": flags}


def run(*words: str) -> str:
    """Run Go in the module; what it printed. Raises SystemExit with its last words."""
    try:
        done = subprocess.run(["nice", "-n", "10", "go", *words], cwd=MODULE, env=environment(), capture_output=True, text=True,
                              check=False, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"go {words[0]} took over {MOST_SECONDS} s: is the module proxy reached? (go env GOPROXY)") from None
    if done.returncode != 0:
        raise SystemExit(f"go {' '.join(words)}:\n{done.stderr[-2000:]}")
    return done.stdout


def build(folder: Path) -> None:
    """Make what is not there, or was made of something else."""
    made_of = digest(run("env", "GOVERSION"))
    stamp = folder / "made-of"
    if stamp.exists() and stamp.read_text() == made_of and all((folder / name).exists() for name in PROGRAMS):
        return
    print(f"building {', '.join(PROGRAMS)} (some minutes, once)", flush=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in PROGRAMS.items():
        run("build", "-trimpath", "-ldflags=-s -w", "-o", str(folder / name), package)
    stamp.write_text(made_of)


def main() -> int:
    if shutil.which("go") is None:
        print("missing: Go. With it `make test` builds helm and an operator and tests with them: install Go 1.26 or newer")
        return 0
    build(ROOT / "build" / "bin")
    return 0


if __name__ == "__main__":
    sys.exit(main())
