"""What the project holds itself to besides lint and types.

- Every folder of modules has tests in the mirrored folder, but for generated and listed ones.
- Every controller that is listed has tests and transcripts in the folder that mirrors its own, and a page in `docs/controllers`.
- Modules over 500 lines are listed with a reason in `tools/long_modules.txt`.
- No machine's paths and no download addresses in tracked files.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "sampan"
MOST_LINES = 500
GENERATED = re.compile(r"api/[a-z]+/v\d\w*\.py|api/resources\.py")
CONTROLLER_LISTS = ("controllers/all.py", "autoscale/all.py", "storage/all.py")
NEEDS_NO_TEST = re.compile(r"(^|/)__init__\.py$|__main__\.py$")


def tracked() -> list[Path]:
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in out.split("\0") if name and (ROOT / name).exists()]


def modules() -> list[Path]:
    return [p for p in tracked() if SOURCE in p.parents and p.suffix == ".py" and not GENERATED.search(str(p.relative_to(SOURCE)))]


def long_modules() -> list[str]:
    listed_file = ROOT / "tools" / "long_modules.txt"
    listed = {line.split()[0] for line in listed_file.read_text().splitlines() if line.strip() and not line.startswith("#")} if listed_file.exists() else set()
    out = []
    for path in modules():
        name, lines = str(path.relative_to(ROOT)), len(path.read_text().splitlines())
        if lines > MOST_LINES and name not in listed:
            out.append(f"{name} has {lines} lines: split it, or give the reason in tools/long_modules.txt")
        if lines <= MOST_LINES and name in listed:
            out.append(f"{name} has {lines} lines: take it off tools/long_modules.txt")
    return out


def untested() -> list[str]:
    """Folders of modules without tests beside them: `src/sampan/a/b/*.py` wants a test in `tests/a/b/` or `tests/a/test_b*.py`."""
    listed_file = ROOT / "tools" / "tested_through_others.txt"
    listed = {line.split()[0] for line in listed_file.read_text().splitlines() if line.strip() and not line.startswith("#")} if listed_file.exists() else set()
    tests = {path.relative_to(ROOT / "tests") for path in tracked() if ROOT / "tests" in path.parents and path.name.startswith("test_")}
    out = []
    for folder in sorted({path.parent for path in modules() if not NEEDS_NO_TEST.search(str(path.relative_to(ROOT)))}):
        place = folder.relative_to(SOURCE)
        beside = any(test.parent == place for test in tests)
        above = any(test.parent == place.parent and test.stem.startswith(f"test_{place.name}") for test in tests)
        if not beside and not above and str(place) not in listed:
            out.append(f"src/sampan/{place}: no test in tests/{place}; write one, or list the folder in tools/tested_through_others.txt with what covers it")
    return out


def controllers() -> list[str]:
    """Entries of the lists of controllers that lack tests or a page."""
    out = []
    for listed in CONTROLLER_LISTS:
        tree = ast.parse((SOURCE / listed).read_text())
        packages = {made.name: imported.module.split(".")[1:-1] for made in tree.body if isinstance(made, ast.FunctionDef)
                    for imported in ast.walk(made) if isinstance(imported, ast.ImportFrom) and imported.module and imported.module.endswith(".controller")}
        for call in ast.walk(tree):
            if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "ControllerEntry"):
                continue
            name, make = call.args[0], call.args[2]
            assert isinstance(name, ast.Constant)
            assert isinstance(name.value, str)
            assert isinstance(make, ast.Name)
            folder = ROOT.joinpath("tests", *packages[make.id])
            if not list(folder.glob("test_*.py")):
                out.append(f"{name.value}: no test in {folder.relative_to(ROOT)}")
            if not list(folder.glob("*/*.txt")):
                out.append(f"{name.value}: no transcript below {folder.relative_to(ROOT)}")
            if not (ROOT / "docs" / "controllers" / f"{name.value}.md").exists():
                out.append(f"{name.value}: write docs/controllers/{name.value}.md")
    return out


def foreign_words() -> list[str]:
    address = re.compile(r"https?://[^\s\"')]*(?:pypi|proxy\.golang|registry\.npm|crates\.io|debian\.org)[^\s\"')]*")
    out = []
    for path in tracked():
        if path.suffix in (".py", ".md", ".txt", ".toml", ".yaml") or path.name == "Makefile":
            text = path.read_text(errors="replace")
            if path.name == "constraints.txt" and ("://" in text or "@" in text):
                out.append("constraints.txt has addresses: plain name==version only")
            out += [f"{path.relative_to(ROOT)}: {found.group()}" for found in address.finditer(text)]
    return out


def main() -> int:
    problems = [*long_modules(), *untested(), *controllers(), *foreign_words()]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
