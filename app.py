"""The launcher: `python app.py` serves the hub. Also the entry point of a Hugging Face Space."""

from __future__ import annotations

import sys

from hub.cli.serve import main

if __name__ == "__main__":
    sys.exit(main())
