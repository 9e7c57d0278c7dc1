"""Look inside: how a picture goes through a convolutional network, layer by layer, as pages show it when asked to.

One more pass with hooks, of one picture; a network that wears hooks runs eagerly (hub/execution/backends/points.py).
What is kept of each stage (a run of layers whose maps are of one size) is what its last layer answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Resampling

from hub.errors import InputError
from hub.images import ENOUGH_SIDE, heat_map, heat_picture
from hub.kit.heat_maps import FULL_HEAT
from hub.kit.networks import seen_box
from hub.spec import Gallery, Toggle
from hub.texts import sentence

if TYPE_CHECKING:
    from torch import Tensor, nn

FIELD = "inside"  # the input, and the output
ASK = Toggle(FIELD, "Look inside", help="Shows how the picture goes through the network, layer by layer")
STAGES = "From what it is given and the first layer's filters to its last maps; of each stage the maps that differ most"
COUNTS = "What counts most"
PICTURES = Gallery(FIELD, "Look inside", STAGES, optional=True, aside=True)
MAPS = 9  # of a stage
FILTERS = 64  # of the first layer
LEAST_STAGES, MOST_STAGES = 3, 12
LEAST_PLACES = 3  # a side: below that a map shows nothing
SIDE = 480  # px of a picture in the gallery, about
GAP = 4  # px between maps

Arrays = dict[str, NDArray[Any]]
Counts = Callable[[Any, "Tensor", Any], NDArray[np.float32]]


def add_layers(
    model: Any,
    answers: Sequence[dict[str, Any]],
    asked: Sequence[NDArray[np.float32] | None],
    run: Callable[[Any, Tensor], Any],
    counts: Counts | Sequence[Counts] | None = None,
) -> None:
    """Puts "layers" into the answers of pictures that are asked for: arrays, as `draw_layers` takes them.

    `asked`: for each answer the picture [3, height, width] as the network is given it, or None; `run(model, pixels)`:
    one pass; `counts(model, pixels, answer of that pass)`: a map [rows, columns] of what counts most in it, one of the
    `map_of_...` of hub/kit/heat_maps.py, say; several, one for each answer. Raises InputError for a network that
    is not convolutional.
    """
    of_each = counts if isinstance(counts, Sequence) else [counts] * len(answers)
    for answer, picture, own in zip(answers, asked, of_each, strict=True):
        if picture is not None:
            answer["layers"] = _look(model, picture, run, own)


def features_of(model: Any, pixels: Tensor) -> Any:
    """A timm model's pass, up to what `forward_head` takes."""
    return model.forward_features(pixels)


def draw_layers(
    answer: Mapping[str, Any], image: Image.Image | None, settings: Mapping[str, Any], caption: str = COUNTS
) -> list[tuple[Image.Image, str]] | None:
    """The gallery; None where it was not asked for. `settings`: "mean" and "std" of the weights.

    What counts most, with that `caption`, is drawn over the part of the image that was seen (`seen_box`; all of it
    where the settings say nothing of it), or over what the network was given where `image` is None.
    """
    layers: Arrays | None = answer.get("layers")
    if layers is None:
        return None
    mean, std = (np.asarray(settings[name], np.float32)[:, None, None] for name in ("mean", "std"))
    seen = layers["picture"] * std + mean
    given = Image.fromarray((seen.clip(0, 1).transpose(1, 2, 0) * 255).round().astype(np.uint8))
    words = sentence("Given: {width} x {height}", width=given.width, height=given.height)
    pictures: list[tuple[Image.Image, str]] = [(_enlarged(given, Resampling.NEAREST), words)]
    if "filters" in layers:
        pictures.append(_draw_filters(layers["filters"]))
    stages = [name for name in layers if name.startswith("stage")]
    for number, name in enumerate(stages, 1):
        pictures.append(_draw_stage(layers[name], number, int(layers["channels"][number - 1])))
    if "cam" in layers:
        strength = (layers["cam"] / max(float(layers["cam"].max()), FULL_HEAT)).astype(np.float32)
        box = seen_box(image.size, settings) if image and "input_size" in settings else None
        below = image or _enlarged(given, Resampling.BICUBIC)
        pictures.append((heat_map(below, strength, ENOUGH_SIDE, box), sentence(caption)))
    return pictures


def _look(
    model: Any,
    picture: NDArray[np.float32],
    run: Callable[[Any, Tensor], Any],
    counts: Counts | None,
) -> Arrays:
    import torch

    pixels = torch.from_numpy(picture[None]).to(next(model.parameters()))
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    with _heard(model) as stages:
        answer = run(model, pixels)
    if len(stages) < LEAST_STAGES:
        raise InputError(
            "{given_field} must be off with these weights: this network ({kind}) is not convolutional, so it has no "
            "maps that could be drawn.",
            given_field=FIELD,
            kind=type(model).__name__,
            field=FIELD,
        )
    chosen = np.linspace(0, len(stages) - 1, min(len(stages), MOST_STAGES)).round().astype(int)
    kept = [stages[number] for number in chosen]
    layers: Arrays = {"picture": picture.astype(np.float32)}
    first = next((m for m in model.modules() if isinstance(m, torch.nn.Conv2d)), None)
    if first is not None and first.in_channels == 3 and min(first.kernel_size) > 1:
        layers["filters"] = first.weight.detach().float().cpu().numpy()[:FILTERS]
    layers["channels"] = np.array([stage.shape[1] for stage in kept])
    layers |= {f"stage_{number:02}": _telling(stage[0]) for number, stage in enumerate(kept, 1)}
    if counts:
        layers["cam"] = counts(model, pixels, answer)
    return layers


@contextmanager
def _heard(model: nn.Module) -> Iterator[list[Tensor]]:
    """The last map of each stage [1, channels, rows, columns], in the order in which they are made."""
    import torch

    stages: list[Tensor] = []

    def hear(module: nn.Module, given: Any, answer: Any) -> None:
        if not isinstance(answer, torch.Tensor) or answer.ndim != 4 or min(answer.shape[2:]) < LEAST_PLACES:
            return
        if stages and stages[-1].shape[2:] == answer.shape[2:]:
            stages[-1] = answer
        else:
            stages.append(answer)

    hooks = [module.register_forward_hook(hear) for module in model.modules()]
    try:
        yield stages
    finally:
        for hook in hooks:
            hook.remove()


def _telling(stage: Tensor) -> NDArray[np.uint8]:
    """The maps that differ most from place to place, uint8 [maps, rows, columns], each over its own range."""
    maps = stage.float().cpu().numpy()
    chosen = np.sort(np.argsort(-maps.std((1, 2)), kind="stable")[:MAPS])
    maps = maps[chosen]
    low, high = (np.percentile(maps, share, axis=(1, 2), keepdims=True) for share in (1, 99))
    out: NDArray[np.uint8] = ((maps - low) / np.maximum(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)
    return out


def _draw_filters(filters: NDArray[np.float32]) -> tuple[Image.Image, str]:
    """Each filter as the colours that it answers to, grey where it does not care."""
    largest = np.maximum(np.abs(filters).max((1, 2, 3), keepdims=True), 1e-6)
    tiles = ((filters / largest * 0.5 + 0.5) * 255).round().astype(np.uint8).transpose(0, 2, 3, 1)
    side = filters.shape[2]
    across = int(np.ceil(np.sqrt(len(tiles))))
    scale = max(1, SIDE // (across * (side + 1)))
    large = [np.repeat(np.repeat(tile, scale, 0), scale, 1) for tile in tiles]
    words = sentence("{number} filters, {side} x {side}", number=len(filters), side=side)
    return _laid_out(large), words


def _draw_stage(maps: NDArray[np.uint8], number: int, channels: int) -> tuple[Image.Image, str]:
    height, width = maps.shape[1:]
    tiles = []
    for one in maps:
        tile = heat_picture(one.astype(np.float32) / 255)
        scale = SIDE / 3 / max(tile.size)
        size = max(1, round(tile.width * scale)), max(1, round(tile.height * scale))
        tiles.append(np.asarray(tile.resize(size, Resampling.NEAREST if scale > 1 else Resampling.BOX)))
    words = sentence(
        "{number}: {count} maps, {width} x {height}", number=number, count=channels, width=width, height=height
    )
    return _laid_out(tiles), words


def _laid_out(tiles: Sequence[NDArray[np.uint8]]) -> Image.Image:
    """Tiles of one size in rows, as many across as down."""
    across = int(np.ceil(np.sqrt(len(tiles))))
    height, width = tiles[0].shape[:2]
    down = -(-len(tiles) // across)
    canvas = np.full((down * (height + GAP) - GAP, across * (width + GAP) - GAP, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // across * (height + GAP), number % across * (width + GAP)
        canvas[top : top + height, left : left + width] = tile
    return Image.fromarray(canvas)


def _enlarged(image: Image.Image, resampling: Resampling) -> Image.Image:
    scale = SIDE / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), resampling)
