"""Renders the example pictures of the demos with Blender's Python module.

python3.11 -m venv /tmp/bpyenv && /tmp/bpyenv/bin/pip install bpy==5.0.1 pillow scikit-image
/tmp/bpyenv/bin/python demos/assets/make_examples.py            # all of them
/tmp/bpyenv/bin/python demos/assets/make_examples.py police_car --width 240 --samples 8 --out /tmp/preview
"""

# bpy has no complete types and is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from PIL import Image  # noqa: E402 - after the path
from scenes import aerials, drives, hands, kit, portraits  # noqa: E402 - after the path

PAGES: dict[str, tuple[Callable[[], float], ...]] = {
    "vehicle_classifier": (
        portraits.ambulance,
        portraits.fire_engine,
        portraits.police_car,
        portraits.paramedic,
        portraits.hatchback,
        portraits.pickup,
        portraits.saloon,
    ),
    "camvid_segmentation": (drives.high_street, drives.leafy_road, drives.junction),
    "street_objects": (drives.high_street, drives.leafy_road, drives.junction),
    "palm_keypoints": (hands.left_palm, hands.right_palm, hands.left_on_wood, hands.right_downwards, hands.fork),
    "satellite_labels": (aerials.car_park, aerials.houses, aerials.harbour, aerials.courts),
}
SQUARE = {"satellite_labels": 512}  # pages with square pictures, and their width
UPRIGHT = dict.fromkeys(
    ("right_palm", "left_on_wood", "right_downwards"), 720
)  # pictures that are higher than wide, and their width
MAX_BYTES = 200_000


def main() -> None:
    arguments = parse()
    for page, scenes in PAGES.items():
        for scene in scenes:
            if arguments.names and scene.__name__ not in arguments.names:
                continue
            folder = arguments.out / page if arguments.out else HERE / page
            folder.mkdir(parents=True, exist_ok=True)
            started = time.monotonic()
            kit.start()
            exposure = scene()
            built = time.monotonic()
            raw = Path(tempfile.mkdtemp()) / "raw.png"
            width = arguments.width or SQUARE.get(page) or UPRIGHT.get(scene.__name__, 960)
            shape = 1.0 if page in SQUARE else 4 / 3 if scene.__name__ in UPRIGHT else 3 / 4
            kit.render(raw, width, round(width * shape), arguments.samples, exposure)
            picture = folder / f"{scene.__name__}.jpg"
            save(Image.open(raw).convert("RGB"), picture)
            seconds = f"built in {built - started:.0f} s, rendered in {time.monotonic() - built:.0f} s"
            print(f"{picture}: {seconds}, {picture.stat().st_size // 1000} kB", flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="pictures to make; default: all")
    parser.add_argument("--width", type=int, help="pixels; default: 960, square pages 512")
    parser.add_argument("--samples", type=int, default=16, help="light paths a pixel")
    parser.add_argument("--out", type=Path, help="another folder than the one this file is in")
    return parser.parse_args()


def save(picture: Image.Image, path: Path) -> None:
    """The best JPEG that is small enough."""
    for quality in range(92, 60, -3):
        picture.save(path, quality=quality, optimize=True, progressive=True)
        if path.stat().st_size <= MAX_BYTES:
            return


if __name__ == "__main__":
    main()
