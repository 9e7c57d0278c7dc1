"""`python -m hub ...`: see hub/cli/main.py."""

from __future__ import annotations

import sys

from hub.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
