"""Makes the example video of the street pages: a camera that moves over three of the example pictures.

Run it from the repository's root: `.venv/bin/python demos/assets/make_clips.py`
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from hub.results.videos import write

ASSETS = Path(__file__).parent / "camvid_segmentation"
STREETS = ("high_street", "leafy_road", "junction")
SIZE, RATE, SECONDS = (480, 360), 10, 10
ZOOM = 0.3  # of the picture's width, from a scene's first frame to its last: as if one drove into it


def frames() -> Iterator[Image.Image]:
    """Each street a third of the time, its middle coming nearer."""
    each = RATE * SECONDS // len(STREETS)
    for number in range(RATE * SECONDS):
        scene = min(number // each, len(STREETS) - 1)
        share = (number - scene * each) / each
        with Image.open(ASSETS / f"{STREETS[scene]}.jpg") as street:
            side = ZOOM * share / 2
            box = (street.width * side, street.height * side, street.width * (1 - side), street.height * (1 - side))
            yield street.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS, box)


if __name__ == "__main__":
    facts, (_, video) = write((frames(), RATE))
    (ASSETS / "drive.mp4").write_bytes(video.data)
    print(facts, len(video.data), "bytes")
