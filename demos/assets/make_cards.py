"""Draws what the home page shows of each demo: an example with its real answer.

.venv/bin/python -m demos.assets.make_cards              # all pages
.venv/bin/python -m demos.assets.make_cards palm_keypoints

A page's card.webp is its answer as a picture; words on it make one more for each language, such as card.zh-CN.webp.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

from hub import texts
from hub.decoding.stills import look_at
from hub.hub import Hub
from hub.kit import lettering
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import Result
from hub.settings import Settings
from hub.spec import Boxes, Demo, FileInput, Gallery, ImageOutput, Json, Plot

SIZE, PLOT = (640, 400), (378, 240)
MOST_BYTES, QUALITIES = 13_000, (76, 68, 60, 52, 44, 36, 28, 22)
LETTERS, MARGIN = 21, 16  # px
PLATE, WORDS = "#0f172a", "#ffffff"
EXAMPLES = {"satellite_labels": 1}  # which one to show; of other pages the first
UPPER = {"age_regression"}  # pages of which the upper part is shown, where faces are; of others the middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slugs", nargs="*", help="of the pages; none: all that have a folder of assets")
    slugs = parser.parse_args().slugs
    with tempfile.TemporaryDirectory() as data:
        hub = Hub(Settings(data=data, offline=True))
        try:
            for page in hub.registry:
                if page.assets.is_dir() and page.demo.examples and page.slug in (slugs or [page.slug]):
                    make(hub, page)
        finally:
            hub.close()


def make(hub: Hub, page: Page) -> None:
    """Runs the page's example and writes its cards."""
    example = page.demo.examples[EXAMPLES.get(page.slug, 0)].inputs
    files = {
        f.name: page.assets / str(example[f.name])
        for f in page.demo.inputs
        if isinstance(f, FileInput) and f.name in example
    }
    result = hub.engine.run(page.slug, {**example, **files})
    before = b""
    for language, catalogue in hub.texts.items():
        with texts.speaking(catalogue):
            data = encoded(draw(page.demo, result, files, 0 if page.slug in UPPER else 0.5))
        path = page.card_path(language)
        path.unlink(missing_ok=True)
        if data != before:
            path.write_bytes(data)
            print(f"{path}: {len(data) / 1000:.1f} kB")
        before = before or data


def draw(demo: Demo, result: Result, files: Mapping[str, Path], at: float) -> Image.Image:
    """The answer as a picture, in the language that is spoken."""
    plots = [field.name for field in demo.outputs if isinstance(field, Plot)]
    if plots:
        return with_plot(fitted(first_frame(result, files), at), opened(io.BytesIO(result.pictures[plots[0]][0].data)))
    answers = [f for f in demo.outputs if isinstance(f, Boxes | ImageOutput | Gallery) and result.pictures.get(f.name)]
    answer = next((f for f in answers if not f.optional), None)
    if answer is None:
        return with_words(fitted(opened(next(iter(files.values()))), at), words(demo, result))
    picture = opened(io.BytesIO(result.pictures[answer.name][0].data))
    if isinstance(answer, Boxes | Gallery):
        return with_words(fitted(picture, at), [texts.say(headline(demo, result))])
    if not answer.compare:
        return fitted(picture, at)
    return half_and_half(fitted(opened(files[answer.compare]), at), fitted(picture, at))


def first_frame(result: Result, files: Mapping[str, Path]) -> Image.Image:
    """Of the video that came out, or else of the one that went in."""
    for group in result.pictures.values():
        if group[-1].media_type == "video/mp4":
            return opened(io.BytesIO(group[0].data))
    return look_at(next(iter(files.values())).read_bytes())


def with_plot(frame: Image.Image, plot: Image.Image) -> Image.Image:
    """A curve in the lower right corner."""
    plot = plot.resize(PLOT, Image.Resampling.LANCZOS)
    corner = Image.new("L", PLOT, 0)
    ImageDraw.Draw(corner).rounded_rectangle((0, 0, PLOT[0] - 1, PLOT[1] - 1), 10, 255)
    frame = frame.copy()
    frame.paste(plot, (SIZE[0] - PLOT[0] - MARGIN, SIZE[1] - PLOT[1] - MARGIN), corner)
    return frame


def words(demo: Demo, result: Result) -> list[str]:
    """The labels that were picked, of a page that picks some; else the headline."""
    for field in demo.outputs:
        if isinstance(field, Json) and field.chips:
            return [texts.say(str(next(iter(row.values())))) for row in result.values[field.name]]
    return [texts.say(headline(demo, result))]


def fitted(image: Image.Image, at: float) -> Image.Image:
    """The part of a picture that fills the card: its upper one where `at` is 0, its middle where it is 0.5."""
    return ImageOps.fit(image, SIZE, Image.Resampling.LANCZOS, centering=(0.5, at))


def opened(source: Any) -> Image.Image:
    with Image.open(source) as image:
        return image.convert("RGB")


def half_and_half(left: Image.Image, right: Image.Image) -> Image.Image:
    """The picture that went in, and from its middle on what came out."""
    both, middle = left.copy(), SIZE[0] // 2
    both.paste(right.crop((middle, 0, *SIZE)), (middle, 0))
    ImageDraw.Draw(both).line((middle, 0, middle, SIZE[1]), WORDS, 4)
    return both


def with_words(image: Image.Image, lines: list[str]) -> Image.Image:
    """A plate with each of the words on the lower edge, from the left, in as many rows as they need."""
    image = image.copy()
    draw, font, height = ImageDraw.Draw(image), lettering.font(LETTERS), LETTERS + 18
    rows: list[list[tuple[str, float]]] = [[]]
    room = SIZE[0] - 2 * MARGIN
    for text in map(lettering.drawable, lines):
        width = font.getlength(text) + 28
        if rows[-1] and sum(w + 8 for _, w in rows[-1]) + width > room:
            rows.append([])
        rows[-1].append((text, width))
    for number, row in enumerate(reversed(rows)):
        left, top = float(MARGIN), SIZE[1] - MARGIN - height - number * (height + 8)
        for text, width in row:
            draw.rounded_rectangle((left, top, left + width, top + height), 10, PLATE)
            draw.text((left + width / 2, top + height / 2), text, WORDS, font, anchor="mm")
            left += width + 8
    return image


def encoded(image: Image.Image) -> bytes:
    """A WebP file as good as MOST_BYTES allow; of a picture full of small things, the smallest that there is."""
    for quality in QUALITIES:
        file = io.BytesIO()
        image.save(file, "WEBP", quality=quality, method=6)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()


if __name__ == "__main__":
    main()
