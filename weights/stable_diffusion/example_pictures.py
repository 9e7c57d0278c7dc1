"""What the page's examples bring, drawn by the bundled weights through the page's own code:

python -m weights.stable_diffusion.example_pictures --out demos/assets/stable_diffusion
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from hub.hub import Hub
from hub.pages.registry import discover
from hub.settings import Settings

SIDE_PX = 160


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    demo = discover().get("stable_diffusion").demo
    hub = Hub(Settings(offline=True, results_disk_mb=0.0))
    for example in demo.examples:
        drawn_first = hub.engine.run("stable_diffusion", example.inputs).pictures["pictures"][0]
        with Image.open(io.BytesIO(drawn_first.data)) as picture:
            picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(out / example.picture, optimize=True)


if __name__ == "__main__":
    main()
