"""Pipelines of diffusers with random weights, as their repositories have them and as small as they can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    StableDiffusionInpaintPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessor, CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from weights.stable_diffusion import model

WIDTH, SIDE = 16, 32


def small(folder: Path) -> None:
    """The architecture of the bundled model."""
    torch.manual_seed(0)
    parts = {"unet": model.denoiser(), "text_encoder": model.text_encoder(), "vae": model.autoencoder()}
    model.save_pipeline(parts, folder)


def filling(folder: Path) -> None:
    """Stable Diffusion's for inpainting: its U-Net also sees the picture without what is painted over, and the mask."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=SIDE // 2, in_channels=9, out_channels=4, block_out_channels=(WIDTH, 2 * WIDTH), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=2, norm_num_groups=8,
        cross_attention_dim=model.WIDTH,
    )  # fmt: skip
    pixels = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4,
    )  # fmt: skip
    StableDiffusionInpaintPipeline(
        vae=pixels, unet=unet, text_encoder=model.text_encoder(), tokenizer=model.tokenizer(),
        scheduler=model.scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(folder)  # fmt: skip
    edit(folder / "model_index.json", tokenizer=["transformers", "PreTrainedTokenizerFast"])


def large(folder: Path) -> None:
    """Stable Diffusion XL's: two text encoders, a turbo's scheduler."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=SIDE // model.FACTOR, in_channels=model.LATENT, out_channels=model.LATENT,
        block_out_channels=(WIDTH, 2 * WIDTH), layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), attention_head_dim=(2, 4), norm_num_groups=8,
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1), cross_attention_dim=2 * WIDTH,
        projection_class_embeddings_input_dim=6 * 8 + WIDTH,
    )  # fmt: skip
    words = CLIPTextConfig(
        vocab_size=len(model.vocabulary()), hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=model.TOKENS, projection_dim=WIDTH, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    StableDiffusionXLPipeline(
        vae=model.autoencoder(), unet=unet, text_encoder=CLIPTextModel(words), tokenizer=model.tokenizer(),
        text_encoder_2=CLIPTextModelWithProjection(words), tokenizer_2=model.tokenizer(),
        scheduler=EulerAncestralDiscreteScheduler(timestep_spacing="trailing", steps_offset=1),
    ).save_pretrained(folder)  # fmt: skip
    named = ["transformers", "PreTrainedTokenizerFast"]
    edit(folder / "model_index.json", tokenizer=named, tokenizer_2=named)
    (folder / "config.json").write_text(json.dumps({"side": SIDE}))


def checked(folder: Path, small_folder: Path) -> None:
    """The small one with a safety checker, which hides nothing yet: `forbid` tells it what."""
    import shutil

    shutil.copytree(small_folder, folder)
    torch.manual_seed(0)
    vision = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2,
              "image_size": SIDE, "patch_size": 8}  # fmt: skip
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=WIDTH))
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        weights.data.fill_(2.0)  # no cosine is that large
    checker.save_pretrained(folder / "safety_checker")
    size = {"height": SIDE, "width": SIDE}
    CLIPImageProcessor(size=size, crop_size=size).save_pretrained(folder / "feature_extractor")
    edit(
        folder / "model_index.json",
        safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"],
        feature_extractor=["transformers", "CLIPImageProcessor"],
        requires_safety_checker=True,
    )


def forbid(loaded: Any, picture: Any) -> None:
    """Makes a loaded model's checker hide what looks like `picture`, uint8 [height, width, 3]."""
    checker = loaded.pipeline.safety_checker
    seen = loaded.pipeline.feature_extractor(picture, return_tensors="pt").pixel_values
    checker.concept_embeds.data[0] = checker.visual_projection(checker.vision_model(seen)[1])[0]
    checker.concept_embeds_weights.data[0] = 0.998


def edit(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))
