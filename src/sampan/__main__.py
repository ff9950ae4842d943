"""`python -m sampan`: the same as the `sampan` command."""

import sys

from sampan.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
