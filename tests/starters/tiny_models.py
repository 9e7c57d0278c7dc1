"""Models of each task with random weights and a few thousand numbers, with real processors and tokenizers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.starters import tiny_hearing

LABELS = {0: "cat", 1: "dog", 2: "bicycle"}
WORDS = "a red car on the street with people good bad film i like it very much cat dog and".split()
BACKBONE = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}


def _names() -> dict[str, Any]:
    return {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}


def _save(model: Any, folder: Path, *readers: Any) -> None:
    for part in (model, *readers):
        part.save_pretrained(folder)


def _tokenizer() -> Any:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: n for n, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=64, **special)


def _vit() -> Any:
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return transformers.ViTConfig(**sizes, image_size=32, patch_size=16, **_names())


def image_classification(folder: Path) -> None:
    import transformers

    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    _save(transformers.ViTForImageClassification(_vit()), folder, processor)


def object_detection(folder: Path) -> None:
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.YolosConfig(
        **sizes,
        image_size=[64, 64],
        patch_size=16,
        num_detection_tokens=8,
        **_names(),
        use_mid_position_embeddings=False,
    )
    processor = transformers.YolosImageProcessor(size={"shortest_edge": 64, "longest_edge": 1000})
    _save(transformers.YolosForObjectDetection(config), folder, processor)


def detr(folder: Path) -> None:
    import transformers

    config = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(**BACKBONE, out_features=["stage2"]), use_timm_backbone=False,
        backbone=None, use_pretrained_backbone=False, d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=10,
        **_names(),
    )  # fmt: skip
    processor = transformers.DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 1000})
    _save(transformers.DetrForObjectDetection(config), folder, processor)


def zero_shot_object_detection(folder: Path) -> None:
    import transformers

    letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *[f"{letter}</w>" for letter in letters], "!"]
    tokenizer = transformers.CLIPTokenizer({word: n for n, word in enumerate(words)}, [], pad_token="!")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.Owlv2Config(
        text_config={**sizes, "vocab_size": len(words), "max_position_embeddings": 16, "eos_token_id": 1},
        vision_config={**sizes, "image_size": 64, "patch_size": 16}, projection_dim=16,
    )  # fmt: skip
    processor = transformers.Owlv2ImageProcessor(size={"height": 64, "width": 64})
    model = transformers.Owlv2ForObjectDetection(config)
    _save(model, folder, transformers.Owlv2Processor(processor, tokenizer))


def image_segmentation(folder: Path) -> None:
    import transformers

    config = transformers.SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3], strides=[4, 2],
        num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=8, **_names(),
    )  # fmt: skip
    processor = transformers.SegformerImageProcessor(size={"height": 64, "width": 64})
    _save(transformers.SegformerForSemanticSegmentation(config), folder, processor)


def depth_estimation(folder: Path) -> None:
    import transformers

    config = transformers.GLPNConfig(
        num_encoder_blocks=4, depths=[1] * 4, sr_ratios=[8, 4, 2, 1], hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2], mlp_ratios=[2] * 4, decoder_hidden_size=8,
    )  # fmt: skip
    _save(transformers.GLPNForDepthEstimation(config), folder, transformers.GLPNImageProcessor())


def image_to_text(folder: Path) -> None:
    import transformers

    tokenizer = _tokenizer()
    common = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    words = {"vocab_size": len(tokenizer), "encoder_hidden_size": 16, "bos_token_id": 2, "eos_token_id": 3}
    more = {"pad_token_id": 0, "sep_token_id": 3, "max_position_embeddings": 128, "projection_dim": 16}
    config = transformers.BlipConfig(
        text_config={**common, **words, **more, "is_decoder": True},
        vision_config={**common, "image_size": 32, "patch_size": 16, "projection_dim": 16}, projection_dim=16,
    )  # fmt: skip
    processor = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    _save(transformers.BlipForConditionalGeneration(config), folder, processor, tokenizer)


def image_feature_extraction(folder: Path) -> None:
    import transformers

    processor = transformers.ViTImageProcessor(size={"height": 32, "width": 32})
    _save(transformers.ViTModel(_vit(), add_pooling_layer=False), folder, processor)


def text_classification(folder: Path) -> None:
    import transformers

    tokenizer = _tokenizer()
    config = transformers.DistilBertConfig(
        vocab_size=len(tokenizer), dim=16, n_layers=1, n_heads=2, hidden_dim=16, max_position_embeddings=64, **_names()
    )
    _save(transformers.DistilBertForSequenceClassification(config), folder, tokenizer)


def visual_question_answering(folder: Path) -> None:
    import transformers

    tokenizer = _tokenizer()
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViltConfig(
        **sizes, vocab_size=len(tokenizer), image_size=32, patch_size=16, max_position_embeddings=64, **_names()
    )
    processor = transformers.ViltImageProcessor(size={"shortest_edge": 32}, size_divisor=16)
    _save(transformers.ViltForQuestionAnswering(config), folder, transformers.ViltProcessor(processor, tokenizer))


def blip_questions(folder: Path) -> None:
    import transformers

    tokenizer = _tokenizer()
    common = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    words = {"vocab_size": len(tokenizer), "encoder_hidden_size": 16, "bos_token_id": 2, "eos_token_id": 3}
    more = {"pad_token_id": 0, "sep_token_id": 3, "max_position_embeddings": 128, "projection_dim": 16}
    config = transformers.BlipConfig(
        text_config={**common, **words, **more, "is_decoder": True},
        vision_config={**common, "image_size": 32, "patch_size": 16, "projection_dim": 16}, projection_dim=16,
    )  # fmt: skip
    processor = transformers.BlipImageProcessor(size={"height": 32, "width": 32})
    model = transformers.BlipForQuestionAnswering(config)
    _save(model, folder, transformers.BlipProcessor(processor, tokenizer))


def text_generation(folder: Path, **changes: Any) -> None:
    import transformers

    tokenizer = _tokenizer()
    usual = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64, "bos_token_id": 2, "eos_token_id": 3}
    config = transformers.GPT2Config(vocab_size=len(tokenizer), **{**usual, **changes})
    _save(transformers.GPT2LMHeadModel(config), folder, tokenizer)


def panoptic(folder: Path) -> None:
    import transformers

    config = transformers.DetrConfig(
        backbone_config=transformers.ResNetConfig(
            **{**BACKBONE, "hidden_sizes": [8, 8, 8, 16], "depths": [1] * 4},
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        use_timm_backbone=False, backbone=None, use_pretrained_backbone=False, d_model=64, encoder_layers=1,
        decoder_layers=1, encoder_attention_heads=8, decoder_attention_heads=8, encoder_ffn_dim=16,
        decoder_ffn_dim=16, num_queries=5, **_names(),
    )  # fmt: skip
    processor = transformers.DetrImageProcessor(size={"shortest_edge": 64, "longest_edge": 1000})
    _save(transformers.DetrForSegmentation(config), folder, processor)


def mask2former(folder: Path) -> None:
    import transformers

    backbone = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    config = transformers.Mask2FormerConfig(
        backbone_config=backbone, feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
        encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=5, **_names(),
    )  # fmt: skip
    processor = transformers.Mask2FormerImageProcessor(size={"height": 64, "width": 64}, num_labels=3)
    _save(transformers.Mask2FormerForUniversalSegmentation(config), folder, processor)


def maskformer(folder: Path) -> None:
    import transformers

    backbone = transformers.SwinConfig(
        embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4, image_size=64,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip
    decoder = transformers.DetrConfig(
        d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=5,
    )  # fmt: skip
    config = transformers.MaskFormerConfig(
        backbone_config=backbone, decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, **_names()
    )
    processor = transformers.MaskFormerImageProcessor(size={"height": 64, "width": 64}, num_labels=3)
    _save(transformers.MaskFormerForInstanceSegmentation(config), folder, processor)


def text_to_image(folder: Path) -> None:
    from tests import tiny_pipelines

    tiny_pipelines.small(folder)


def inpainting(folder: Path) -> None:
    from tests import tiny_pipelines

    tiny_pipelines.filling(folder)


MAKE: dict[str, Callable[[Path], None]] = {
    "image-classification": image_classification,
    "object-detection": object_detection,
    "detr": detr,
    "zero-shot-object-detection": zero_shot_object_detection,
    "image-segmentation": image_segmentation,
    "depth-estimation": depth_estimation,
    "image-to-text": image_to_text,
    "image-feature-extraction": image_feature_extraction,
    "text-classification": text_classification,
    "visual-question-answering": visual_question_answering,
    "blip-questions": blip_questions,
    "text-generation": text_generation,
    "text-to-image": text_to_image,
    "image-to-image": text_to_image,
    "inpainting": inpainting,
    "automatic-speech-recognition": tiny_hearing.whisper,
    "english": tiny_hearing.english,
    "letters": tiny_hearing.letters,
    "audio-classification": tiny_hearing.spectrogram,
    "sound-classes": tiny_hearing.classes,
    "panoptic": panoptic,
    "mask2former": mask2former,
    "maskformer": maskformer,
}


def card(tag: str = "", **more: Any) -> bytes:
    """A model card as repositories have it."""
    entries = {**({"pipeline_tag": tag} if tag else {}), **more}
    return (
        "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in entries.items()) + "---\n# M\n"
    ).encode()
