"""Packages that only some weights need: none is installed with the hub, each is an extra of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import PurePosixPath
from typing import Any

from hub.weights import formats

# By package: the extra that brings it (requirements-EXTRA.txt).
EXTRAS: Mapping[str, str] = {"peft": "lora", "sentencepiece": "text", "scipy": "segment"}
# transformers builds these kinds with scipy alone, whatever they are for.
ASSIGNING = frozenset(("eomt", "eomt_dinov3", "mask2former", "maskformer", "oneformer"))


def packages(config: Mapping[str, Any], files: Collection[str], *, has_lora: bool = False) -> list[str]:
    """Which of the `EXTRAS` weights with this config.json and these files need; `has_lora`: a LoRA is added to them."""
    older = any(PurePosixPath(file).suffix in formats.SENTENCEPIECE for file in files) and "tokenizer.json" not in files
    assigns = config.get("model_type") in ASSIGNING
    needed = {"peft": has_lora, "sentencepiece": older, "scipy": assigns}
    return [package for package, is_needed in needed.items() if is_needed]
