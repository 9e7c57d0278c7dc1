"""The parts of the pipeline and their sizes, and its folder in the layout that diffusers reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DPMSolverMultistepScheduler, UNet2DConditionModel
from safetensors.torch import load_file
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from weights.stable_diffusion.prompts import NUMBERS, POSITIONS, RELATIONS, SYNONYMS, plural_of
from weights.stable_diffusion.scenes import BACKGROUNDS, COLOURS, SHAPES, SIDE, SIZES, STYLES

LATENT = 6  # channels
FACTOR = 4  # pixels a latent
TOKENS = 24
WIDTH = 160  # of the text encoder
SPECIAL = ("[pad]", "[begin]", "[end]", "[unknown]")
UNSEEN = r"\p{Cf}"
BETWEEN = r"['’]s(?![\p{L}\p{N}])|[^\p{L}\p{N}\p{M}]+\p{M}*"  # words: also the s of "the circle's"
BETAS = (1e-4, 0.02)
STEPS = 1000
GUIDANCE, SAMPLE_STEPS = 3.0, 12  # see weights/LOG.md


def vocabulary() -> list[str]:
    """All words the prompts are made of, special ones first."""
    plural = [plural_of(shape) for shape in (*SHAPES, "shape")]
    texts = ["a an and picture of on background shape", *COLOURS, *BACKGROUNDS, *SHAPES, *plural, *STYLES, *SIZES]
    texts += [*POSITIONS, *RELATIONS, *NUMBERS.values(), *(text for others in SYNONYMS.values() for text in others)]
    return list(dict.fromkeys([*SPECIAL, *" ".join(texts).split()]))


def tokenizer() -> PreTrainedTokenizerFast:
    """Whole words, lower case; a word it does not know is `[unknown]`, which training taught to mean nothing.

    Punctuation, quotes, brackets and symbols of any script say nothing and part words; marks that nobody sees (a soft
    hyphen, a zero-width space) do not.
    """
    words = {word: number for number, word in enumerate(vocabulary())}
    pad, begin, end, unknown = SPECIAL
    inner = Tokenizer(models.WordLevel(words, unk_token=unknown))
    inner.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(UNSEEN), "")]
    )
    # [unknown] in the captions of training stays one word: special tokens are taken out before.
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(BETWEEN), "removed")
    inner.post_processor = processors.TemplateProcessing(
        single=f"{begin} $A {end}", special_tokens=[(begin, words[begin]), (end, words[end])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        model_max_length=TOKENS,
        bos_token=begin,
        eos_token=end,
        pad_token=pad,
        unk_token=unknown,
        padding_side="right",
        truncation_side="right",
    )


def text_encoder() -> Any:
    words = vocabulary()
    model: nn.Module = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(words),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            hidden_act="gelu",
            pad_token_id=words.index("[pad]"),
            bos_token_id=words.index("[begin]"),
            eos_token_id=words.index("[end]"),
        )
    )
    return model


def denoiser() -> Any:
    """The U-Net. Words reach it at a half and a quarter of the latents' side, where attention is cheap."""
    model: nn.Module = UNet2DConditionModel(
        sample_size=SIDE // FACTOR,
        in_channels=LATENT,
        out_channels=LATENT,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128, 128),
        layers_per_block=1,
        attention_head_dim=4,  # heads, whatever its name says
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
        addition_embed_type="text",  # what the words say as a whole goes to every place, with the time
        addition_embed_type_num_heads=8,
    )
    return model


def autoencoder() -> nn.Module:
    model: nn.Module = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 48, 96),
        layers_per_block=1,
        latent_channels=LATENT,
        norm_num_groups=16,
        sample_size=SIDE,
        scaling_factor=1.0,  # the latents are scaled: see `autoencoder.standardise`
        mid_block_add_attention=False,
    )
    return model


def scheduler() -> Any:
    """DPM-Solver++ over linear betas, whose last step is noise alone: backgrounds get their colour."""
    return DPMSolverMultistepScheduler(
        num_train_timesteps=STEPS,
        beta_start=BETAS[0],
        beta_end=BETAS[1],
        beta_schedule="linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,  # without a meaning for "trailing", but diffusers warns of 0
    )


def signal() -> Tensor:
    """[STEPS]: the share of the variance which is picture, by step."""
    return torch.cumprod(1 - torch.linspace(*BETAS, STEPS, dtype=torch.float64), 0).float()


def save_pipeline(parts: dict[str, nn.Module], out: Path) -> None:
    """The folder that `StableDiffusionPipeline.from_pretrained` reads; numbers as float16."""
    from diffusers import StableDiffusionPipeline

    halves = {name: part.to(torch.float16) for name, part in parts.items()}
    pipeline = StableDiffusionPipeline(
        **halves,
        tokenizer=tokenizer(),
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(out, safe_serialization=True)
    # transformers takes the type of the numbers from here, diffusers takes float32: they must agree.
    _edit(out / "text_encoder" / "config.json", dtype="float32")
    # The name that transformers had before version 5, and still has.
    _edit(out / "model_index.json", tokenizer=["transformers", "PreTrainedTokenizerFast"])
    for path in out.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (out / "config.json").write_text(json.dumps(config(), indent=2) + "\n")


def read_pipeline(parts: Mapping[str, nn.Module], folder: Path) -> None:
    """Fills the parts, named as in the pipeline, with what its folder holds."""
    for name, part in parts.items():
        file = "model" if name == "text_encoder" else "diffusion_pytorch_model"
        part.load_state_dict(load_file(folder / name / f"{file}.safetensors"))


def _edit(path: Path, **entries: Any) -> None:
    data = json.loads(path.read_text(encoding="utf-8")) | entries
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")


def config() -> dict[str, Any]:
    """What the page shows about this model: words, size, settings that suit it."""
    return {
        "width": SIDE,
        "height": SIDE,
        "steps": SAMPLE_STEPS,
        "guidance": GUIDANCE,
        "words": {
            "colours": list(COLOURS),
            "shapes": list(SHAPES),
            "sizes": list(SIZES),
            "styles": list(STYLES),
            "positions": list(POSITIONS),
            "relations": list(RELATIONS),
            "numbers": ["a", *NUMBERS.values()],
            "backgrounds": list(BACKGROUNDS),
        },
    }
