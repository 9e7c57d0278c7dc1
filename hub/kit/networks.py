"""Networks as their repositories have them: image classifiers of timm or transformers, segmentation networks of smp.

Weights are read from safetensors alone; code that a repository brings is never run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any

from hub.errors import InputError, UnavailableError
from hub.files import parse_json, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image
    from torch import Tensor, nn

    from hub.images import Box


def image_classifier(folder: Path) -> nn.Module:
    """The model in eval mode, with timm's two halves, `forward_features` and `forward_head`.

    Raises UnavailableError for a repository that needs what is not here.
    """
    config = parse_json(read_text(folder / "config.json"))
    if "architecture" in config:
        import timm

        model: nn.Module = timm.create_model(f"local-dir:{folder}", pretrained=True)
        return model.eval()
    if "id2label" not in config:
        raise UnavailableError(
            "This page runs image classifiers of timm (config.json with `architecture`) or transformers (with "
            "`id2label`); these weights are neither."
        )
    return _transformers(folder, config).eval()


def segmenter(folder: Path) -> nn.Module:
    """A network of segmentation-models-pytorch in eval mode, from config.json and model.safetensors alone.

    It has `deepest` and `scores_and_deepest` as methods, too, each of which can run as one compiled form.

    What `smp.from_pretrained` does, without its fall-back to a pickle, its line on stdout and its look for ImageNet
    weights on the network; and a config can name an architecture, not any function of smp. Raises UnavailableError.
    """
    import segmentation_models_pytorch as smp
    from safetensors.torch import load_file

    config = {**parse_json(read_text(folder / "config.json")), "encoder_weights": None}
    kind = str(config.get("_model_class", "")).lower()
    if kind not in smp.MODEL_ARCHITECTURES_MAPPING:
        kinds = ", ".join(sorted(smp.MODEL_ARCHITECTURES_MAPPING))
        raise UnavailableError(
            "This page runs networks of segmentation-models-pytorch: config.json must have a `_model_class`, one "
            "of {known}; it has {given!r}.",
            known=kinds,
            given=kind or "none",
        )
    settings = {name: value for name, value in config.items() if not name.startswith("_")}
    model: nn.Module = smp.MODEL_ARCHITECTURES_MAPPING[kind](**settings)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    own: Any = model
    own.deepest, own.scores_and_deepest = MethodType(deepest, model), MethodType(scores_and_deepest, model)
    own.compiled_parts = ("deepest", "scores_and_deepest")
    return model.eval()


def own_method(model: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """The model's method of that name, which may run as a compiled form; else the function itself, for that model."""
    found: Callable[..., Any] = getattr(model, function.__name__, None) or partial(function, model)
    return found


def deepest(model: Any, pictures: Tensor) -> Tensor:
    """The last features of a segmentation network's encoder."""
    features: Tensor = model.encoder(pictures)[-1]
    return features


def scores_and_deepest(model: Any, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """What a segmentation network says of each pixel, and the last features of its encoder."""
    features = model.encoder(pictures)
    return model.segmentation_head(model.decoder(features)), features[-1]


def model_input(image: Image.Image, settings: Mapping[str, Any]) -> Image.Image:
    """The photo at the model's size as it was trained: squashed, or its middle (`crop_mode`, `crop_pct`).

    `settings`: `pretrained_cfg` of the weights' config.
    """
    from PIL import Image as Pillow

    _, height, width = settings["input_size"]
    resampling = Pillow.Resampling[settings["interpolation"].upper()]
    # Photos of more than four times the size are halved first, pixel by pixel: half the time, and levels differ by 0.3.
    return image.resize((width, height), resampling, box=seen_box(image.size, settings), reducing_gap=2.0)


def seen_box(size: tuple[int, int], settings: Mapping[str, Any]) -> Box:
    """The part of a photo of this width and height that `model_input` shows the model."""
    _, height, width = settings["input_size"]
    if settings.get("crop_mode", "center") == "squash":
        return 0, 0, *size
    # What Resize and CenterCrop of torchvision give, without the large picture in between that a long strip makes.
    short = int(min(width, height) / (settings.get("crop_pct") or 1.0))
    across, down = size[0] / min(size), size[1] / min(size)
    full_width, full_height = max(int(short * across), width), max(int(short * down), height)
    left, top = round((full_width - width) / 2), round((full_height - height) / 2)
    x, y = size[0] / full_width, size[1] / full_height
    return left * x, top * y, min((left + width) * x, size[0]), min((top + height) * y, size[1])


def _transformers(folder: Path, config: Mapping[str, Any]) -> nn.Module:
    try:
        from transformers import AutoModelForImageClassification
        from transformers.utils import logging
    except ImportError:
        raise UnavailableError(
            "These weights are a model of transformers, which is not installed: pip install transformers"
        ) from None
    logging.disable_progress_bar()
    try:
        model = AutoModelForImageClassification.from_pretrained(  # a verified folder  # nosec B615
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except (ValueError, KeyError) as error:
        kind = config.get("model_type", "unnamed")
        raise UnavailableError(
            "transformers has no image classifier of the kind {kind!r} of its own. If the repository brings code "
            "for it, that is not run here. ({reason})",
            kind=kind,
            reason=str(error).splitlines()[0][:120],
        ) from None
    return _halves(model)


def _halves(classifier: nn.Module) -> nn.Module:
    """A classifier of transformers with timm's two halves; every one of them ends in `logits` and `hidden_states`."""
    import torch

    class Halves(torch.nn.Module):
        compiled_parts = ("classifier.forward",)

        def __init__(self) -> None:
            super().__init__()
            self.classifier = classifier

        def forward_features(self, pixels: Tensor) -> _Classified:
            return _Classified(self.classifier(pixel_values=pixels, output_hidden_states=True))

        def forward_head(self, answers: _Classified, pre_logits: bool = False) -> Tensor:
            last = answers.last
            return answers.logits if not pre_logits else last.mean((2, 3)) if last.ndim == 4 else last.mean(1)

    return Halves()


class _Classified:
    """What a transformers classifier answered; there is no map of places to cut out of it."""

    def __init__(self, answer: Any):
        self.logits: Tensor = answer.logits
        self.last: Tensor = answer.hidden_states[-1]

    def __getitem__(self, rows: object) -> Any:
        raise InputError("why must be 'off' with these weights: models of transformers have no map here.", field="why")
