"""The picture that a chat shows for a link: 1200 x 630, the result on the left, what it says on the right."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from hub import budget
from hub.images import encode
from hub.results import Picture

SIZE = (1200, 630)  # what Open Graph readers ask for
PICTURE_WIDTH, MARGIN = 640, 56
PAPER, INK, SOFT, TEAL, SKY = "#ffffff", "#1e293b", "#475569", "#0f766e", "#38bdf8"
TITLE_PX, TEXT_PX, LONG_PX, SMALL_PX = 34, 50, 38, 28
LINES, LONG = 6, 50  # a text of so many characters is written smaller


def card(title: str, text: str, picture: bytes | None) -> Picture:
    """A JPEG card. `picture` is an encoded picture of the hub's own making; None: colours stand in its place."""
    canvas = Image.new("RGB", SIZE, PAPER)
    canvas.paste(_cover(picture) if picture else _colours(PICTURE_WIDTH, SIZE[1]), (0, 0))
    draw, left = ImageDraw.Draw(canvas), PICTURE_WIDTH + MARGIN
    width = SIZE[0] - left - MARGIN
    mark = Image.new("L", (36, 36), 0)
    ImageDraw.Draw(mark).rounded_rectangle((0, 0, 35, 35), 11, 255)
    canvas.paste(_colours(36, 36), (left, MARGIN), mark)
    draw.text((left + 50, MARGIN + 17), "Demo Hub", SOFT, ImageFont.load_default(SMALL_PX), anchor="lm")
    y = 150.0
    y = _write(draw, (left, y), title, TITLE_PX, TEAL, width, 2) + 22
    _write(draw, (left, y), text, TEXT_PX if len(text) < LONG else LONG_PX, INK, width, LINES)
    return Picture(encode(canvas, "jpeg"), "image/jpeg", *SIZE)


def _cover(data: bytes) -> Image.Image:
    """The picture fills its side; a narrow or wide one is shown whole on a soft copy of itself."""
    room = PICTURE_WIDTH, SIZE[1]
    with budget.opened(data, (2 * PICTURE_WIDTH, 2 * SIZE[1])) as opened:
        return _fitted(opened.convert("RGB"), room)


def _fitted(image: Image.Image, room: tuple[int, int]) -> Image.Image:
    filled = ImageOps.fit(image, room, Image.Resampling.BICUBIC)
    share = (image.width / image.height) / (room[0] / room[1])
    if 0.75 < share < 1.34:
        return filled
    soft = filled.resize((24, 24), Image.Resampling.BOX).resize(room, Image.Resampling.BICUBIC)
    whole = ImageOps.contain(image, room, Image.Resampling.LANCZOS)
    soft.paste(whole, ((room[0] - whole.width) // 2, (room[1] - whole.height) // 2))
    return soft


def _colours(width: int, height: int) -> Image.Image:
    """The hub's colours from corner to corner."""
    begin, end = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)], np.float32) for c in (TEAL, SKY))
    share = np.add.outer(np.linspace(0, 0.5, height), np.linspace(0, 0.5, width))[..., None]
    return Image.fromarray((begin + share * (end - begin)).astype(np.uint8))


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, colour: str, width: float, most: int
) -> float:
    """Wrapped text, cut after `most` lines; returns where it ends, in px."""
    font, lines = ImageFont.load_default(size), [""]
    for word in text.replace("\N{NO-BREAK SPACE}", "\0").split():
        word = word.replace("\0", "\N{NO-BREAK SPACE}")
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + "…"]
    x, y = at
    for line in lines:
        while font.getlength(line) > width and len(line) > 2:
            line = line.rstrip("…")[:-1] + "…"
        drawn = line.replace("\N{NO-BREAK SPACE}", " ")  # the font has no sign for it
        draw.text((x, y), drawn, colour, font, anchor="la")
        y += 1.28 * size
    return y
