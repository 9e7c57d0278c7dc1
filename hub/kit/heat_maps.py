"""What classification pages share: a timm model's logits, its embedding and, only when asked, where it looked.

The maps are Grad-CAM by torchcam, taken at the model's last map of places: what timm's `forward_features` returns. The
network up to there runs as always; only its head runs a second time with gradients, on a module of our own, so that a
model never wears a hook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hub.errors import InputError
from hub.images import ENOUGH_SIDE, heat_map
from hub.kit.networks import seen_box
from hub.texts import sentence

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

OFF = "off"  # the choice that costs nothing
FIELD = "why"  # the input that pages offer the choice as
FULL_HEAT = 2.0  # logits; a map that nowhere reaches them is drawn paler, not blown up to full colour
FAINT = 0.5  # logits; a map that nowhere reaches them shows nothing worth the name


def classify(
    model: nn.Module,
    pixels: Sequence[NDArray[np.float32]],
    why: Sequence[str],
    names: Sequence[str],
    *,
    exclusive: bool,
) -> list[dict[str, NDArray[np.float32]]]:
    """One dict a picture: "logits" [classes], "embedding" [features] and, where asked for, "cam" [rows, columns].

    `pixels`: one array [views, 3, height, width] a picture, all of one shape; a second view is the mirror image.
    Logits, embeddings and maps are means over the views. `why`: `OFF`, one of `names`, or any other word for the
    strongest class. `cam` is in logits: what the class would gain if the whole picture looked like that place (at
    least 0); with `exclusive` classes, its lead over the others. Raises InputError when a map is asked of a model
    that has no places.
    """
    import torch

    views = len(pixels[0])
    batch = torch.from_numpy(np.concatenate(pixels)).to(next(model.parameters()))
    head: Any = model  # a timm model: these two methods are its forward pass
    features = head.forward_features(batch.contiguous(memory_format=torch.channels_last))
    logits = _mean_of_views(head.forward_head(features), views)
    embeddings = _mean_of_views(head.forward_head(features, pre_logits=True).flatten(1), views)
    answers = [{"logits": a, "embedding": b} for a, b in zip(logits, embeddings, strict=True)]
    mapped = [number for number, word in enumerate(why) if word != OFF]
    if mapped:
        classes = [names.index(why[n]) if why[n] in names else int(logits[n].argmax()) for n in mapped]
        rows = [n * views + view for n in mapped for view in range(views)]
        maps = class_maps(model, features[rows], [c for c in classes for _ in range(views)], exclusive=exclusive)
        grouped = maps.reshape(len(mapped), views, *maps.shape[1:])
        grouped[:, 1:] = grouped[:, 1:, :, ::-1].copy()  # the mirror image's, turned back
        for number, cam in zip(mapped, grouped.mean(1), strict=True):
            answers[number]["cam"] = cam
    return answers


def draw_heat_map(
    image: Image.Image,
    answer: Mapping[str, NDArray[np.float32]],
    why: str,
    shares: Mapping[str, float],
    settings: Mapping[str, Any] | None = None,
) -> tuple[Image.Image, str] | None:
    """The "cam" of one answer over what the model saw of its picture, with a caption; None when there is none.

    `shares`: probability by class name, in the order of the logits; `why` as for `classify`; `settings` as for
    `model_input`, without them the model saw the whole picture.
    """
    if "cam" not in answer:
        return None
    cam, names = answer["cam"], list(shares)
    name = why if why in shares else names[int(answer["logits"].argmax())]
    peak = float(cam.max())
    words = (
        "What speaks for {label} ({share:.0%})" if peak >= FAINT else "Next to nothing speaks for {label} ({share:.0%})"
    )
    caption = sentence(words, label=sentence(name), share=shares[name])
    box = seen_box(image.size, settings) if settings else None
    return heat_map(image, cam / np.float32(max(peak, FULL_HEAT)), ENOUGH_SIDE, box), caption


def class_maps(model: nn.Module, features: Tensor, classes: Sequence[int], *, exclusive: bool) -> NDArray[np.float32]:
    """Grad-CAM of one class a picture, in logits as `classify` says: float32 [pictures, rows, columns].

    `features` is what the model's `forward_features` returned. Works under `torch.inference_mode()`; leaves
    neither hooks nor gradients on the model. Raises InputError when the model has no map of places.
    """
    import torch
    from torchcam.methods import GradCAM

    head: Any = model
    score = _lead if exclusive else _logit
    targets: list[Callable[[Any], Tensor]] = [partial(score, index=index) for index in classes]
    places = torch.nn.Identity()  # wears torchcam's hooks in the model's place
    with torch.inference_mode(False), torch.enable_grad(), GradCAM(places, places) as grad_cam:
        maps, back = _as_map(model, features.detach().clone())  # a clone made here may take part in a backward pass
        tracked = places(maps.float().requires_grad_())  # in float32, so that the sum over channels is exact
        scores = head.forward_head(back(tracked).to(features.dtype, copy=True))
        (cams,) = grad_cam(scores=scores.float(), targets=targets, normalized=False)
    out: NDArray[np.float32] = cams.cpu().numpy() * np.float32(cams.shape[1] * cams.shape[2])
    return out


def map_of_strongest(model: Any, pixels: Tensor, features: Any, *, exclusive: bool) -> NDArray[np.float32]:
    """As `class_maps`, of the class that a timm model finds strongest in one picture."""
    strongest = int(model.forward_head(features).float()[0].argmax())
    (only,) = class_maps(model, features, [strongest], exclusive=exclusive)
    return np.asarray(only, np.float32)


def map_of_class(model: Any, pixels: Tensor, number: int) -> NDArray[np.float32]:
    """Seg-Grad-CAM (Vinogradova and others 2020) of one picture, at the last features of an smp network's encoder.

    What the mean score of the pixels of that class would gain if the whole picture looked like that place; zeros
    where there are none.
    """

    def target(scores: Tensor) -> Tensor:
        pixels = scores[number][scores.detach().argmax(0) == number]
        return pixels.sum() / max(1, pixels.numel())

    return _map_of(model, pixels, target)


def map_of_points(model: Any, pixels: Tensor, answer: Any) -> NDArray[np.float32]:
    """As `map_of_class`, of a network with one map of scores for each point: of the mean over their highest ones."""
    return _map_of(model, pixels, lambda scores: scores.flatten(1).amax(1).mean())


def _map_of(model: Any, pixels: Tensor, target: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
    """Grad-CAM of `target` of the scores [classes, height, width]; where the last features add to it, float32."""
    import torch

    features = model.encoder(pixels)
    with torch.inference_mode(False), torch.enable_grad():
        *finer, last = (one.detach().clone() for one in features)  # clones made here may take part in a backward pass
        tracked = last.float().requires_grad_()
        scores = model.segmentation_head(model.decoder([*finer, tracked.to(last.dtype)]))[0].float()
        # Of these features alone, so that no gradient is left on the weights, which others use meanwhile.
        (gradient,) = torch.autograd.grad(target(scores), tracked)
    cam = (gradient.mean((2, 3), keepdim=True) * tracked.detach()).sum(1)[0].relu()
    out: NDArray[np.float32] = (cam * cam.numel()).cpu().numpy()
    return out


def _logit(row: Tensor, index: int) -> Tensor:
    return row[index]


def _lead(row: Tensor, index: int) -> Tensor:
    """The class against all others: what its softmax probability depends on. Of two classes, the difference."""
    others = [other for other in range(len(row)) if other != index]
    return row[index] - row[others].logsumexp(0)


def _mean_of_views(values: Tensor, views: int) -> NDArray[np.float32]:
    out: NDArray[np.float32] = values.float().reshape(-1, views, values.shape[1]).mean(1).cpu().numpy()
    return out


def _as_map(model: Any, features: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Features as [pictures, channels, rows, columns], and what turns such a map into features again."""
    import torch

    if features.ndim == 4:
        if "NHWC" in str(getattr(model, "output_fmt", "NCHW")):
            return features.permute(0, 3, 1, 2), lambda m: m.permute(0, 2, 3, 1)
        return features, lambda m: m
    grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
    first = int(getattr(model, "num_prefix_tokens", 0))
    by_one_token = getattr(model, "global_pool", "") == "token"
    if features.ndim != 3 or grid is None or features.shape[1] != first + grid[0] * grid[1] or by_one_token:
        raise InputError(
            "{given_field} must be {off!r} with these weights: what reaches the last layer of this network "
            "({kind}) is not laid out like the picture, so there is no map to draw.",
            given_field=FIELD,
            off=OFF,
            kind=type(model).__name__,
            field=FIELD,
        )
    prefix, tokens = features[:, :first], features[:, first:]
    return (
        tokens.transpose(1, 2).reshape(len(tokens), -1, *grid),
        lambda m: torch.cat([prefix, m.flatten(2).transpose(1, 2)], 1),
    )
