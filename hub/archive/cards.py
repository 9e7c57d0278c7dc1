"""The picture that a chat shows for a link: 1200 x 630, the result on the left, what it says on the right."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from hub.decoding import budget
from hub.images import encode
from hub.kit import lettering
from hub.results.result import Picture

SIZE = (1200, 630)  # what Open Graph readers ask for
PICTURE_WIDTH, MARGIN = 640, 56
PAPER, INK, SOFT, TEAL, SKY = "#ffffff", "#1e293b", "#475569", "#0f766e", "#38bdf8"
TITLE_PX, TEXT_PX, LONG_PX, SMALL_PX = 34, 50, 38, 28
LINES, LONG = 6, 50  # a text of so many characters is written smaller


def card(title: str, text: str, picture: bytes | None) -> Picture:
    """A JPEG card. `picture` is an encoded picture of the hub's own making; None: colours stand in its place."""
    canvas = Image.new("RGB", SIZE, PAPER)
    canvas.paste(_cover(picture) if picture else _colours(PICTURE_WIDTH, SIZE[1]), (0, 0))
    draw, text_left = ImageDraw.Draw(canvas), PICTURE_WIDTH + MARGIN
    width = SIZE[0] - text_left - MARGIN
    sign = mark(36)
    canvas.paste(sign, (text_left, MARGIN), sign)
    draw.text((text_left + 50, MARGIN + 17), "Demo Hub", SOFT, lettering.font(SMALL_PX), anchor="lm")
    y = 150.0
    y = _write(draw, (text_left, y), title, TITLE_PX, TEAL, width, 2) + 22
    _write(draw, (text_left, y), text, TEXT_PX if len(text) < LONG else LONG_PX, INK, width, LINES)
    return Picture(encode(canvas, "jpeg"), "image/jpeg", *SIZE)


def mark(side: int) -> Image.Image:
    """The hub's sign: its colours in a square with round corners."""
    corners = Image.new("L", (side, side), 0)
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, side - 1, side - 1), round(0.3 * side), 255)
    sign = _colours(side, side)
    sign.putalpha(corners)
    return sign


def _cover(data: bytes) -> Image.Image:
    """The picture fills its side; a narrow or wide one is shown whole on a soft copy of itself."""
    room = PICTURE_WIDTH, SIZE[1]
    with budget.opened(data, (2 * PICTURE_WIDTH, 2 * SIZE[1])) as image:
        return _fitted(image.convert("RGB"), room)


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
    font, lines = lettering.font(size), [""]
    for word in lettering.drawable(text).split(" "):
        longer = f"{lines[-1]} {word}".strip(" ")
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        lines = [*filter(None, lines), *_split_word(font, word, width)]
    if len(lines) > most:
        lines = [*lines[: most - 1], _fitting(font, lines[most - 1], width - font.getlength("…")) + "…"]
    x, y = at
    for line in lines:
        from_right = lettering.goes_left(line)
        draw.text((x + width * from_right, y), line, colour, font, anchor="ra" if from_right else "la")
        y += 1.28 * size
    return y


def _split_word(font: ImageFont.FreeTypeFont, word: str, width: float) -> list[str]:
    """A word in parts that fit: scripts such as Chinese have no spaces."""
    parts = []
    while word:
        parts.append(_fitting(font, word, width) or word[:1])
        word = word[len(parts[-1]) :]
    return parts or [""]


def _fitting(font: ImageFont.FreeTypeFont, text: str, width: float) -> str:
    """As much of the beginning as fits, torn where a line may end in any script, if there is such a place."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle]) <= width else (low, middle - 1)
    place = low
    while 0 < place < len(text) and not lettering.may_end(text[place - 1], text[place]):
        place -= 1
    return text[: place or low]
