"""Writes the example pictures of `age_regression`: two portraits in the public domain, a pinboard of both, and a cat.

/tmp/bpyenv/bin/pip install scikit-image==0.26.0 matplotlib==3.11.2 pillow==13.0.0    # they carry the photographs
/tmp/bpyenv/bin/python demos/assets/make_faces.py
"""

# scikit-image is not installed with the hub:
# mypy: ignore-errors

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from skimage import data

FOLDER = Path(__file__).with_name("age_regression")
QUALITY = 88
BOARD = 1280, 853  # drawn in this size and shrunk, which smooths the edges
SHRUNK = 960, 640
# Portrait (0 or 1), middle in px of the board, width of the print in px, turn in degrees.
PRINTS = (
    (0, (230, 250), 330, 6),
    (1, (585, 225), 260, -9),
    (0, (860, 190), 190, 14),
    (1, (1100, 260), 300, 4),
    (1, (215, 640), 250, -13),
    (0, (495, 610), 250, -4),
    (1, (735, 465), 150, 9),
    (0, (745, 705), 170, -17),
    (0, (1010, 640), 270, 8),
    (1, (1190, 640), 120, -6),
)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    collins = Image.fromarray(data.astronaut())
    with get_sample_data("grace_hopper.jpg") as file:
        hopper = Image.open(file).convert("RGB")
    pictures = {
        "collins": collins.crop((0, 0, 512, 450)),
        "hopper": hopper,
        "pinboard": pinboard([collins.crop((106, 10, 331, 280)), hopper.crop((90, 0, 440, 420))]),
        "cat": Image.fromarray(data.chelsea()),
    }
    for name, picture in pictures.items():
        path = FOLDER / f"{name}.jpg"
        picture.save(path, quality=QUALITY, optimize=True, progressive=True)
        print(f"{path}: {picture.width} x {picture.height}, {path.stat().st_size // 1000} kB")


def pinboard(portraits: list[Image.Image]) -> Image.Image:
    """Prints of the portraits, with white edges and a shadow, on cork: the same faces, large, small and turned."""
    grain = np.random.default_rng(7).normal(size=(BOARD[1], BOARD[0], 1))
    cork = np.array([186, 140, 94]) + 10 * grain + np.array([1.0, 0.8, 0.6]) * 10 * np.roll(grain, 1, 0)
    board = Image.fromarray(cork.clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))
    for which, (x, y), width, turn in PRINTS:
        portrait = portraits[which]
        sharp = portrait.resize((width, round(width * portrait.height / portrait.width)), Image.Resampling.LANCZOS)
        framed = ImageOps.expand(sharp, round(width * 0.05), "#faf8f2").convert("RGBA")
        print_image = framed.rotate(turn, Image.Resampling.BICUBIC, expand=True)
        place = x - print_image.width // 2, y - print_image.height // 2
        shade = Image.new("L", board.size)
        shade.paste(print_image.getchannel("A").point(lambda a: a * 0.55), (place[0] + 5, place[1] + 8))
        board.paste("#3a2614", mask=shade.filter(ImageFilter.GaussianBlur(7)))
        board.paste(print_image, place, print_image)
        pin = x, place[1] + round(width * 0.06)
        ImageDraw.Draw(board).circle((pin[0] + 2, pin[1] + 3), 9, "#5b3a22")
        ImageDraw.Draw(board).circle(pin, 9, "#c8372d" if which else "#2d6cc8")
        ImageDraw.Draw(board).circle((pin[0] - 3, pin[1] - 3), 3, "#ffffff")
    return board.resize(SHRUNK, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
