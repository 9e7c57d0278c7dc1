"""A LoRA beside a pipeline's weights (`hf://owner/base+hf://owner/lora`): added to them once, when they are loaded."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hub.errors import UnavailableError
from hub.settings import EXTRA
from hub.texts import sentence
from hub.weights.remote import LORA

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = "peft"  # without which diffusers reads none
PART = re.compile(r"lora[^a-z]*(?:linear_layer\.)?(?:down|up|A|B)\b")  # of a tensor's name, whoever trained it


def add_lora(pipeline: Any, folder: Path) -> None:
    """Adds the LoRA in the weights' folder to the pipeline's networks; nothing, where there is none.

    Raises UnavailableError for one that is none, or that does not fit them.
    """
    files = sorted((folder / LORA).rglob("*.safetensors"))
    if not files:
        return
    check_installed()
    parts = count_parts(files[0])
    kind = type(pipeline).__name__
    if not hasattr(pipeline, "load_lora_weights"):
        raise UnavailableError("diffusers adds no LoRA to a {kind}.", kind=kind)
    try:
        pipeline.load_lora_weights(
            files[0].parent, weight_name=files[0].name, use_safetensors=True, local_files_only=True
        )
    except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:  # as peft and diffusers tell
        raise UnavailableError(
            "The LoRA {file} does not fit these weights: {reason}",
            file=files[0].name,
            reason=_first_line(error),
        ) from None
    taken = sum(1 for name in _parameter_names(pipeline) if PART.search(name))
    if taken < parts:
        raise UnavailableError(
            "The LoRA {file} does not fit these weights: {kind} has a place for {taken} of its {parts} parts. It was "
            "trained for another model.",
            file=files[0].name,
            kind=kind,
            taken=taken,
            parts=parts,
        )
    pipeline.fuse_lora(safe_fusing=True)
    pipeline.unload_lora_weights()


def check_installed() -> None:
    """Raises UnavailableError, in one line, where the package is missing that LoRAs take."""
    if find_spec(PACKAGE) is None:
        raise UnavailableError(
            "{what} needs the package {package}: {command}",
            what=sentence("A LoRA"),
            package=PACKAGE,
            command=EXTRA.format(name="lora"),
        )


def count_parts(file: Path) -> int:
    """How many tensors of a LoRA a file has, by their names. Raises UnavailableError for none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np") as tensors:
            parts = sum(1 for name in tensors.keys() if PART.search(name))  # noqa: SIM118  # it is no mapping
    except (SafetensorError, OSError) as error:
        raise UnavailableError("{file} cannot be read: {reason}.", file=file.name, reason=_first_line(error)) from None
    if not parts:
        raise UnavailableError("{file} is no LoRA: none of its tensors is called so.", file=file.name)
    return parts


def _parameter_names(pipeline: Any) -> list[str]:
    import torch

    networks = [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]
    return [name for network in networks for name, _ in network.named_parameters()]


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (" ".join(lines[:2]) or type(error).__name__)[:240]
