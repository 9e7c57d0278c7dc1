"""Makes the example videos: a camera that comes nearer to three of a page's example pictures, one after the other.

Run it from the repository's root: `.venv/bin/python demos/assets/make_clips.py`
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from hub.results.videos import write

ASSETS = Path(__file__).parent
CLIPS = {
    "camvid_segmentation/drive.mp4": ("high_street", "leafy_road", "junction"),
    "vehicle_classifier/vehicles.mp4": ("police_car", "hatchback", "ambulance"),
}
SIZE, RATE, SECONDS = (480, 360), 10, 10
ZOOM = 0.3  # of the picture's width, from a scene's first frame to its last: as if one drove into it


def frames(pictures: Sequence[Path]) -> Iterator[Image.Image]:
    """Each picture an equal part of the time, its middle coming nearer."""
    each = RATE * SECONDS // len(pictures)
    for number in range(RATE * SECONDS):
        scene = min(number // each, len(pictures) - 1)
        share = (number - scene * each) / each
        with Image.open(pictures[scene]) as street:
            side = ZOOM * share / 2
            box = (street.width * side, street.height * side, street.width * (1 - side), street.height * (1 - side))
            yield street.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS, box)


if __name__ == "__main__":
    for file, names in CLIPS.items():
        place = ASSETS / file
        facts, (_, video) = write((frames([place.with_name(f"{name}.jpg") for name in names]), RATE))
        place.write_bytes(video.data)
        print(file, facts, len(video.data), "bytes")
