"""Networks that hear, with random weights and a few thousand numbers, with real feature extractors and tokenizers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
HEARS = {"conv_dim": [16] * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 2}
SOUNDS = {0: "music", 1: "speech", 2: "rain"}
LANGUAGES, TASKS = ("en", "de", "zh"), ("translate", "transcribe")


def _names() -> dict[str, Any]:
    return {"id2label": SOUNDS, "label2id": {name: number for number, name in SOUNDS.items()}}


def whisper(folder: Path, several: bool = True) -> None:
    """`several`: of more than one language."""
    import torch
    import transformers
    from tokenizers import AddedToken, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = transformers.WhisperTokenizer({letter: number for number, letter in enumerate(letters)}, [])
    marks = ["startoftranscript", *LANGUAGES, *TASKS, "startofprev", "nospeech", "notimestamps"]
    tokenizer.add_tokens([AddedToken(f"<|{mark}|>", special=True, normalized=False) for mark in marks])
    times = [f"<|{0.02 * number:.2f}|>" for number in range(1501)]
    tokenizer.add_tokens([AddedToken(time, special=False, normalized=False) for time in times])

    def number(mark: str) -> int:
        return int(tokenizer.convert_tokens_to_ids(f"<|{mark}|>"))

    strange = [at for at, letter in enumerate(letters) if not letter.isascii()]  # half letters would be none to compare
    end, start = number("endoftext"), number("startoftranscript")
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_target_positions=32,
        decoder_start_token_id=start, bos_token_id=end, eos_token_id=end, pad_token_id=end,
    )  # fmt: skip
    torch.manual_seed(0)  # which hears something
    model = transformers.WhisperForConditionalGeneration(config)
    # It hears letters, and seldom when: there are ten times as many marks of times.
    model.model.decoder.embed_tokens.weight.data[: len(letters)] *= 30
    known: dict[str, Any] = {
        "no_timestamps_token_id": number("notimestamps"),
        "max_length": 32,
        "return_timestamps": False,
    }
    if several:
        known["lang_to_id"] = {f"<|{code}|>": number(code) for code in LANGUAGES}
        known["task_to_id"] = {task: number(task) for task in TASKS}
    model.generation_config = transformers.GenerationConfig(
        **known, is_multilingual=several, decoder_start_token_id=start, bos_token_id=end, eos_token_id=end,
        pad_token_id=end, suppress_tokens=[*map(number, marks), *strange], begin_suppress_tokens=[],
    )  # fmt: skip
    for part in (model, transformers.WhisperFeatureExtractor(), tokenizer):
        part.save_pretrained(folder)


def english(folder: Path) -> None:
    whisper(folder, several=False)


def letters(folder: Path, rate: int = 16_000) -> None:
    """Wav2Vec2 with a letter for each sound."""
    import transformers

    words = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ'"]
    vocabulary = folder / "vocab.json"
    vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
    tokenizer = transformers.Wav2Vec2CTCTokenizer(str(vocabulary))
    config = transformers.Wav2Vec2Config(**SIZES, **HEARS, vocab_size=len(words), pad_token_id=0)
    extractor = transformers.Wav2Vec2FeatureExtractor(sampling_rate=rate)
    for part in (transformers.Wav2Vec2ForCTC(config), extractor, tokenizer):
        part.save_pretrained(folder)


def spectrogram(folder: Path) -> None:
    """Audio Spectrogram Transformer: it sees a sound as a picture."""
    import transformers

    shape = {"num_mel_bins": 16, "max_length": 64}
    config = transformers.ASTConfig(**SIZES, **shape, patch_size=16, **_names())
    extractor = transformers.ASTFeatureExtractor(**shape)
    for part in (transformers.ASTForAudioClassification(config), extractor):
        part.save_pretrained(folder)


def classes(folder: Path) -> None:
    """Wav2Vec2 with a label for each sound."""
    import transformers

    config = transformers.Wav2Vec2Config(**SIZES, **HEARS, classifier_proj_size=16, **_names())
    for part in (transformers.Wav2Vec2ForSequenceClassification(config), transformers.Wav2Vec2FeatureExtractor()):
        part.save_pretrained(folder)
