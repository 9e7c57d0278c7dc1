"""Pages that are drawn on: what `prepare` gets comes back as the answer."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from hub.spec import Demo, Drawn, ImageInput, ImageOutput, Json, Slider


def prepare(photo: Drawn, **settings: Any) -> dict[str, Any]:
    """All that was drawn, as numbers."""
    assert photo.picture.mode == "RGB"
    drawn: dict[str, Any] = {"size": list(photo.picture.size), "boxes": photo.boxes, "points": photo.points}
    if photo.mask is not None:
        pixels = np.asarray(photo.mask)
        assert photo.mask.mode == "L" and photo.mask.size == photo.picture.size and {*np.unique(pixels)} <= {0, 255}
        drawn |= {"painted": int((pixels > 0).sum()), "around": list(photo.mask.getbbox() or ())}
    return drawn


def present(output: dict[str, Any], photo: Drawn, **settings: Any) -> dict[str, Any]:
    inside = np.array(photo.picture)
    if photo.mask is not None:
        inside[np.asarray(photo.mask) == 0] = 0
    from PIL import Image

    return {"drawn": output, "inside": Image.fromarray(inside)}


def drawn_demo(draw: Literal["box", "points", "mask"], **options: Any) -> Demo:
    """A page for one kind of drawing."""
    return Demo(
        title=f"Drawn {draw}",
        summary="Tells what was drawn.",
        task="Test",
        inputs=(ImageInput("photo", "Photo", draw=draw, **options), Slider("level", "Level", 0, 9, 0, 1)),
        outputs=(Json("drawn", "Drawn"), ImageOutput("inside", "Inside")),
        load=lambda folder, device: None,
        prepare=prepare,
        infer=lambda model, items: items,
        present=present,
    )
