"""The `sampan` command: which words there are, and how errors are told.

Each command is a module of this package with `add(parser)` and `run(arguments) -> int`, imported when it is asked for.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from importlib.util import find_spec

from sampan import __version__
from sampan.lib.errors import SampanError

COMMANDS = {
    "up": "start a cluster on this machine",
    "down": "stop it",
    "status": "show what runs",
    "control-plane": "run API server, controllers and scheduler in one process, in the foreground",
    "server": "run the API server alone, in the foreground",
    "controllers": "run the controllers, in the foreground",
    "scheduler": "run the scheduler, in the foreground",
    "fleet": "run controllers, scheduler and simulated nodes of a large fleet, in the foreground",
    "certs": "show when certificates end, or have them made anew",
    "why": "tell why a pod waits for a node, and what would help",
    "agent": "run a node agent, in the foreground",
    "image": "build, load and list container images",
}
"""Word → what it does; the module has the same name, a dash written as an underscore."""


def _module(word: str) -> str:
    return f"sampan.cli.{word.replace('-', '_')}"


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the answer is the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="sampan", description="Kubernetes, whole, in Python.")
    parser.add_argument("--version", action="version", version=f"sampan {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    word = next((one for one in given if not one.startswith("-")), "")
    for name, text in COMMANDS.items():
        if find_spec(_module(name)) is None:
            continue
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == word:
            import_module(_module(name)).add(sub)
    parsed = parser.parse_args(given)
    if not parsed.command:
        parser.print_help()
        return 2
    try:
        return int(import_module(_module(parsed.command)).run(parsed))
    except SampanError as error:
        return failed(error.message, error.hint)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        return failed(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")


def failed(message: str, hint: str = "") -> int:
    """One line what, one line what to do."""
    print(f"sampan: {message}", file=sys.stderr)
    if hint:
        print(f"  {hint}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
