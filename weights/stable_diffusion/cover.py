"""The page's cover and what its examples bring, drawn by the bundled weights through the page's own code:

python -m weights.stable_diffusion.cover --out demos/assets/stable_diffusion
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
from PIL import Image

from hub.hub import Hub
from hub.pages.registry import discover
from hub.settings import Settings
from weights.stable_diffusion.adherence import draw_with_page

PROMPTS = (
    "a blue square left of a red star on a white background",
    "a large yellow circle on a gray background",
    "a pink heart above a green circle on a black background",
    "a cyan star on a beige background",
    "a purple cross above a yellow triangle on a beige background",
    "a blue star above an orange circle on a white background",
    "an orange square left of a cyan star on a gray background",
    "a large striped green circle on a black background",
    "a small purple triangle on a black background",
    "a pink square above a yellow circle on a white background",
    "a large orange cross on a gray background",
    "a red heart left of a blue square on a beige background",
)
COLUMNS, SIDE_PX = 4, 160


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    demo = discover().get("stable_diffusion").demo
    pictures = draw_with_page(demo, Path(__file__).parent, list(PROMPTS), {})
    tiles = [np.asarray(Image.fromarray(one).resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)) for one in pictures]
    rows = [np.concatenate(tiles[first : first + COLUMNS], axis=1) for first in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(out / "cover.png", optimize=True)
    hub = Hub(Settings(offline=True, results_disk_mb=0.0))
    for example in demo.examples:
        drawn_first = hub.engine.run("stable_diffusion", example.inputs).pictures["pictures"][0]
        with Image.open(io.BytesIO(drawn_first.data)) as picture:
            picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS).save(out / example.picture, optimize=True)


if __name__ == "__main__":
    main()
