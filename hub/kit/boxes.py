"""Boxes on a picture, with a legend below it.

Drawn with Pillow and the hub's own letters, not with `supervision`: that needs SciPy, PyAV and Matplotlib (110 MB more,
and a second to import) to draw the same rectangles, and its letters are Latin only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from PIL import Image, ImageColor, ImageDraw

from hub.kit import lettering

LEAST_PX = 320  # a smaller picture is enlarged, so that boxes and words have room
NAMED_MOST = 40  # with more boxes than these, the legend alone has their names
ROWS_MOST = 4  # of the legend
PAPER, INK = "#ffffff", "#1e293b"


def draw_boxes(
    image: Image.Image, size: tuple[int, int], boxes: Sequence[Mapping[str, Any]], colours: Mapping[str, str]
) -> Image.Image:
    """A copy with boxes, whose numbers are pixels of a picture of `size`; the first are the surest, drawn on top."""
    enlarged = max(1.0, LEAST_PX / max(image.size))
    canvas = image.convert("RGB").resize([max(1, round(side * enlarged)) for side in image.size])
    if not boxes:
        return canvas
    line, letters = max(2, max(canvas.size) // 350), max(12, max(canvas.size) // 52)
    across, down = canvas.width / size[0], canvas.height / size[1]
    pen, font = ImageDraw.Draw(canvas), lettering.font(letters)
    for box in reversed(boxes):
        corners = [box["x0"] * across, box["y0"] * down, box["x1"] * across - 1, box["y1"] * down - 1]
        corners[2:] = max(corners[0], corners[2]), max(corners[1], corners[3])
        pen.rectangle(corners, outline="black", width=line + 2)
        pen.rectangle(corners, outline=colours[box["label"]], width=line)
        if len(boxes) <= NAMED_MOST:
            name = lettering.drawable(f"{box['label']} {100 * box['score']:.0f} %")
            _draw_plate(pen, canvas.size, (corners[0], corners[1]), name, font, colours[box["label"]])
    return _with_legend(canvas, boxes, colours, letters)


def _draw_plate(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], corner: tuple[float, float], name: str, font: Any, colour: str
) -> None:
    """A name on a plate above the box, or inside of it at the picture's upper edge."""
    width, height = font.getlength(name) + font.size * 0.6, font.size * 1.3
    x = max(0.0, min(corner[0], size[0] - width))
    y = corner[1] - height if corner[1] >= height else corner[1]
    pen.rectangle((x, y, x + width, y + height), fill=colour)
    pen.text((x + font.size * 0.3, y + height / 2), name, ink_on(colour), font, anchor="lm")


def _with_legend(
    canvas: Image.Image, boxes: Sequence[Mapping[str, Any]], colours: Mapping[str, str], letters: int
) -> Image.Image:
    """The picture on a sheet that has below it what each colour is, and how many boxes have it."""
    counts = {label: sum(box["label"] == label for box in boxes) for label in dict.fromkeys(b["label"] for b in boxes)}
    font, width, row = lettering.font(letters), max(canvas.width, LEAST_PX), round(letters * 1.7)
    entries = [(colours[label], lettering.drawable(f"{label}: {count}")) for label, count in counts.items()]
    places = [*_places([font.getlength(text) + 2.6 * letters for _, text in entries], width - letters)]
    rows = min(ROWS_MOST, places[-1][1] + 1)
    sheet = Image.new("RGB", (width, canvas.height + rows * row + letters), PAPER)
    sheet.paste(canvas, ((width - canvas.width) // 2, 0))
    pen = ImageDraw.Draw(sheet)
    following = [*[number for _, number in places][1:], rows]
    for (colour, text), (x, number), after in zip(entries, places, following, strict=True):
        if number >= rows:
            break
        cut = number == rows - 1 and after > number and (x, number) != places[-1]  # there are more than fit
        left, middle = x + letters, canvas.height + letters / 2 + (number + 0.5) * row
        pen.rectangle((left, middle - letters * 0.4, left + letters * 0.8, middle + letters * 0.4), fill=colour)
        pen.text((left + letters * 1.2, middle), text + " …" * cut, INK, font, anchor="lm")
    return sheet


def _places(widths: Sequence[float], room: float) -> Iterator[tuple[float, int]]:
    """Where entries stand, one behind the other, and in which row."""
    x, row = 0.0, 0
    for width in widths:
        if x and x + width > room:
            x, row = 0.0, row + 1
        yield x, row
        x += width


def ink_on(colour: str) -> str:
    """Black or white: which is read better on this."""
    red, green, blue = ImageColor.getrgb(colour)[:3]
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 110 else "white"
