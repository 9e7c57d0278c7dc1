"""`python -m hub new`: writes a demo that works at once, and whose comments teach."""

from __future__ import annotations

import keyword
import math
import re
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from hub.errors import InputError
from hub.pages.problems import NAME, RESERVED_SLUGS

PICTURE = "landscape.png"
TEMPLATE = '''\
"""SUMMARY_TITLE: paints a picture with few colours. Written by `python -m hub new SLUG`; make it yours.

A demo says what; the hub says how. This file is the page at /SLUG, the REST endpoint
/api/v1/demos/SLUG, the gradio_client endpoint /SLUG and `python -m hub run SLUG`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# hub/kit/__init__.py says what of the hub may be imported here. Heavy packages (torch, timm) go inside the functions
# that need them, so that the hub can list a hundred demos without loading any.
from hub.spec import Demo, Example, ImageInput, ImageOutput, Json, Slider

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from PIL import Image

SAMPLE_PX = 256  # the longer side of the copy that the colours are taken from


def load(folder: Path | None, device: torch.device) -> None:
    """Builds the model, once. This demo has none; yours may read the weights in `folder`:

    import timm
    return timm.create_model(f"local-dir:{folder}", pretrained=True)

    Then name them below: weights=(Weights("my_model"),) is the folder weights/my_model/.
    """


def prepare(image: Image.Image, colours: int) -> dict[str, Any]:
    """Declared inputs -> one item for `infer`. Runs on the CPU, without the model.

    `image` is RGB, upright and of a size that was checked; `colours` is in its range. Nothing here needs to
    check again.
    """
    import numpy as np

    sample = image.copy()
    sample.thumbnail((SAMPLE_PX, SAMPLE_PX))
    return {"pixels": np.asarray(sample), "colours": colours}


def infer(model: None, items: list[dict[str, Any]]) -> list[np.ndarray]:
    """A batch of items -> as many outputs. Requests that arrive together come here together.

    With a torch model: stack the items, run the model once, return one CPU array each.
    """
    return [dominant_colours(item["pixels"], item["colours"]) for item in items]


def present(output: np.ndarray, image: Image.Image, colours: int) -> dict[str, Any]:
    """One output -> one entry for each of `outputs` below. Gets the same inputs as `prepare`."""
    from PIL import Image

    paints = Image.new("P", (1, 1))
    paints.putpalette(output.tobytes())
    painted = image.quantize(palette=paints, dither=Image.Dither.NONE)
    counts = painted.histogram()
    rows = [
        # In a table, a column `colour` is drawn as a swatch and one that ends in `percent` as a bar.
        {"colour": "#{:02x}{:02x}{:02x}".format(*paint), "percent": round(100 * count / sum(counts), 2)}
        for paint, count in zip(output.tolist(), counts, strict=False)
    ]
    return {"painting": painted.convert("RGB"), "palette": sorted(rows, key=lambda row: -row["percent"])}


def dominant_colours(pixels: np.ndarray, count: int) -> np.ndarray:
    """At most `count` colours that stand for the picture, [colours, 3], by median cut."""
    import numpy as np
    from PIL import Image

    few = Image.fromarray(pixels).quantize(count, method=Image.Quantize.MEDIANCUT, kmeans=2)
    used = max(few.getextrema()) + 1  # a plain picture has fewer
    return np.asarray(few.getpalette()[: 3 * used], np.uint8).reshape(-1, 3)


DEMO = Demo(
    title="SUMMARY_TITLE",
    summary="Finds the colours that make a picture, and paints it with them alone.",
    task="Image to image",
    # The inputs make the page's controls, the REST schema and the command's flags. Their names are the
    # parameters of `prepare` and `present`. There are also Text, Number, Toggle, Choice, Choices and Seed.
    inputs=(
        ImageInput("image", "Picture", "Any photo or drawing"),
        Slider("colours", "Colours", minimum=2, maximum=24, default=6, step=1, help="How many paints to use"),
    ),
    # There are also Mask, Labels, Gallery, TextOutput and Boxes.
    outputs=(
        ImageOutput("painting", "Painting", "The picture in these colours alone"),
        Json("palette", "Palette", "Share of the picture", table=True),
    ),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    # Files in demos/assets/SLUG/, one click each; the first is also the picture in the gallery.
    examples=(
        Example({"image": "PICTURE"}, title="Hills at sunset"),
        Example({"image": "PICTURE", "colours": 3}, title="Hills at sunset, as a three-colour print"),
    ),
)
'''


def create(slug: str, folder: Path) -> tuple[Path, Path]:
    """Writes `<folder>/<slug>.py` and an example picture; returns both paths. Raises InputError, changing nothing."""
    check_slug(slug)
    page, picture = folder / f"{slug}.py", folder / "assets" / slug / PICTURE
    for path in (page, picture):
        if path.exists():
            raise InputError("{path} exists already. Choose another name, or remove it first.", path=path)
    text = TEMPLATE.replace("SUMMARY_TITLE", slug.replace("_", " ").capitalize())
    text = text.replace("SLUG", slug).replace("PICTURE", PICTURE)
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        landscape().save(picture, optimize=True)
        with page.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise InputError(
            "{path} cannot be written: {reason}.", path=error.filename or folder, reason=error.strerror
        ) from None
    return page, picture


def check_slug(slug: str) -> None:
    """Raises InputError for what cannot be the name of a page, with one that can."""
    if not NAME.fullmatch(slug):
        near = re.sub(r"[^a-z0-9]+", "_", slug.lower()).strip("_").lstrip("0123456789_")[:40]
        hint = f" Try {near!r}." if NAME.fullmatch(near) else ""
        raise InputError(
            "The name must be lower-case letters, digits and _, begin with a letter and have at most 40 "
            "characters, got {slug!r}.{hint}",
            slug=slug,
            hint=hint,
        )
    if slug in RESERVED_SLUGS or keyword.iskeyword(slug):
        what = "a route of the hub" if slug in RESERVED_SLUGS else "a word of Python"
        raise InputError("The name {slug!r} is {what}. Try {better!r}.", slug=slug, what=what, better=slug + "_demo")


def landscape(width: int = 640, height: int = 420) -> Image.Image:
    """The example: hills, a lake and a low sun."""
    rows = [_mix((46, 58, 110), (250, 170, 110), (y / height) ** 1.3) for y in range(height)]
    image = Image.new("RGB", (1, height))
    image.putdata(rows)
    image = image.resize((width, height))
    draw = ImageDraw.Draw(image)
    draw.ellipse((400, 150, 490, 240), fill=(255, 226, 150))
    for number, colour in enumerate(((122, 92, 128), (84, 74, 112), (48, 62, 84))):
        base, swing = 250 + 34 * number, 46 - 10 * number
        points = [
            (x, base - swing * math.sin(x / (70 + 25 * number) + 2 * number) - 14 * math.sin(x / 31 + number))
            for x in range(0, width + 8, 8)
        ]
        draw.polygon([(0, height), *points, (width, height)], fill=colour)
    draw.rectangle((0, 350, width, height), fill=(72, 104, 132))
    for y in range(356, height, 9):
        half = 52 - (y - 356) // 2
        draw.line((445 - half, y, 445 + half, y), fill=(255, 214, 150), width=3)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _mix(first: tuple[int, int, int], second: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
