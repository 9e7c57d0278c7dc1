"""Networks of transformers for other tasks than image classification, each with its own preprocessing.

`pretrained` loads one; the functions below it are what pages do with it, a batch at a time. Weights are read from
safetensors alone; code that a repository brings is never run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from PIL.Image import Resampling

from hub.errors import UnavailableError
from hub.images import shrink, to_array

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NEAREST = Resampling.NEAREST

LEAST_PX = 32  # a side of what networks are given: some halve it five times
MOST_PX = 1333  # the longer side; some do not make it smaller themselves, and their memory grows with its fourth power
MOST_CLASSES = 256  # of a mask with one byte a pixel
MOST_BOXES = 300  # of one picture, the surest ones
MOST_TOKENS = 512  # of a text that is read
LEAST_SOUND_S, MOST_SOUND_S = 0.5, 10.0  # of what networks that know sounds are given at once
MOST_NUMBERS_A_BYTE, LEAST_NUMBERS = 4, 10**7  # of weights: the smallest kinds have two bits a number
HEADS = ("classifier", "head", "predictor", "score.", "lm_", "decoder.")  # what answers, in the names of weights

Arrays = dict[str, Any]


def pretrained(folder: Path, kinds: Sequence[str], readers: Sequence[str]) -> Any:
    """The network in eval mode, of the first of transformers' `Auto...` classes `kinds` that knows its architecture.

    What each of `readers` loads (`AutoImageProcessor`, `AutoTokenizer`) is in its attribute `readers`, by that name.
    The names of what the weights lack are in `absent`.
    Raises UnavailableError for a repository that needs what is not here, or whose config and weights do not fit.
    """
    import torch
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what weights lack is refused below, in words
    safe = {"trust_remote_code": False, "local_files_only": True}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **safe)  # a verified folder  # nosec B615
        classes = [getattr(transformers, kind) for kind in kinds]
        known = [one for one in classes if type(config) in one._model_mapping] or classes[:1]
        _check_size(known[0], config, folder)
        network, report = known[0].from_pretrained(folder, use_safetensors=True, output_loading_info=True, **safe)
        network.readers = {name: getattr(transformers, name).from_pretrained(folder, **safe) for name in readers}
    except (UnavailableError, MemoryError, torch.OutOfMemoryError):
        raise  # for want of memory the hub makes room and tries again
    except Exception as error:  # whatever a stranger's config makes of the library
        raise UnavailableError(
            "transformers cannot run these weights as {kind}: {reason} If the repository brings code of its own, that "
            "is not run here.",
            kind=kinds[0].removeprefix("AutoModelFor"),
            reason=(str(error).strip().splitlines() or [type(error).__name__])[0][:200],
        ) from None
    network.absent = frozenset(report["missing_keys"])
    absent = sorted(key for key in network.absent if any(part in key for part in HEADS))
    if absent:
        raise UnavailableError(
            "These weights lack {parts}, so they were not trained for this task: a network that guesses is not served.",
            parts=", ".join(absent[:3])[:200],
        )
    return network.eval()


def _check_size(kind: Any, config: Any, folder: Path) -> None:
    """Refuses a config of a network that is much larger than its weights: what they lack would fill the memory."""
    import torch

    with torch.device("meta"):
        numbers = sum(weight.numel() for weight in kind.from_config(config).parameters())
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    if numbers > max(stored * MOST_NUMBERS_A_BYTE, LEAST_NUMBERS):
        raise UnavailableError(
            "config.json describes a network of {numbers} million numbers, and the weights have {size} MB. They do not "
            "belong together.",
            numbers=numbers // 10**6,
            size=stored // 10**6,
        )


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """The picture as the networks' own processors take it, [height, width, 3]; strips and specks are stretched."""
    small = shrink(image, MOST_PX)
    size = max(small.width, LEAST_PX), max(small.height, LEAST_PX)
    return to_array(small if small.size == size else small.resize(size))


def laid_over(image: Image.Image, values: NDArray[Any]) -> NDArray[Any]:
    """What a network says of each pixel, [height, width], in the shape and at most in the size of the picture."""
    size = shrink(image).size
    return values if values.shape[::-1] == size else np.asarray(Image.fromarray(values).resize(size, NEAREST))


def label_names(config: Mapping[str, Any], ids: Sequence[int]) -> list[str]:
    """The labels of classes by number, as the weights' config.json has them."""
    names = config.get("label_names", ())
    return [names[number] if 0 <= number < len(names) else f"class {number}" for number in ids]


def find_objects(model: Any, pictures: Sequence[NDArray[Any]]) -> list[Arrays]:
    """Of each picture [height, width, 3] "scores" [n], "labels" [n] (numbers) and "boxes" [n, 4], as shares of it."""
    processor = model.readers["AutoImageProcessor"]
    answers = _as_float(model(**ready(model, processor(images=list(pictures), return_tensors="pt"))))
    found = processor.post_process_object_detection(answers, threshold=0.0, target_sizes=[(1, 1)] * len(pictures))
    return [_surest(one) for one in found]


def find_named(model: Any, picture: NDArray[Any], names: Sequence[str]) -> Arrays:
    """As `find_objects`, of one picture; "labels" are places in `names`, the words for what is looked for."""
    processor = model.readers["AutoProcessor"]
    most = model.config.text_config.max_position_embeddings
    words = {"padding": "max_length", "truncation": True, "max_length": most}
    given = processor(text=[list(names)], images=[picture], return_tensors="pt", text_kwargs=words)
    answers = _as_float(model(**ready(model, given)))
    height, width = picture.shape[:2]
    # Some of these networks see the picture in a square, so that shares of what they saw are none of the picture.
    (found,) = processor.post_process_grounded_object_detection(answers, threshold=0.0, target_sizes=[(height, width)])
    surest = _surest(found)
    return {**surest, "boxes": surest["boxes"] / np.asarray([width, height, width, height], np.float32)}


def sure_boxes(found: Arrays, labels: Sequence[str], image: Image.Image, least: float) -> list[dict[str, Any]]:
    """Boxes of at least a score, as the field `Boxes` takes them: in pixels of the picture, with a label for each."""
    boxes = (found["boxes"] * [image.width, image.height, image.width, image.height]).tolist()
    every = zip(labels, found["scores"].tolist(), boxes, strict=True)
    return [{"label": label, "score": score, "box": tuple(box)} for label, score, box in every if score >= least]


def _surest(found: Mapping[str, Any]) -> Arrays:
    order = found["scores"].argsort(descending=True, stable=True)[:MOST_BOXES]
    return {name: found[name][order].cpu().numpy() for name in ("scores", "labels", "boxes")}


def class_of_pixels(model: Any, pictures: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The class of each pixel of each picture [height, width, 3]: uint8 [height, width]."""
    if model.config.num_labels > MOST_CLASSES:
        raise UnavailableError(
            "These weights have {count} classes; a mask here has at most {most}.",
            count=model.config.num_labels,
            most=MOST_CLASSES,
        )
    processor = model.readers["AutoImageProcessor"]
    answers = _as_float(model(**ready(model, processor(images=list(pictures), return_tensors="pt"))))
    sizes = [picture.shape[:2] for picture in pictures]
    masks = processor.post_process_semantic_segmentation(answers, target_sizes=sizes)
    return [mask.cpu().numpy().astype(np.uint8) for mask in masks]


def depths(model: Any, pictures: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What the network says of each pixel's depth: float32 [height, width], in units of its own."""
    processor = model.readers["AutoImageProcessor"]
    answers = _as_float(model(**ready(model, processor(images=list(pictures), return_tensors="pt"))))
    sizes = [picture.shape[:2] for picture in pictures]
    found = processor.post_process_depth_estimation(answers, target_sizes=sizes)
    return [np.nan_to_num(one["predicted_depth"].squeeze().cpu().numpy().astype(np.float32)) for one in found]


def features(model: Any, pictures: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """What the network sees in each picture, as numbers [features]."""
    processor = model.readers["AutoImageProcessor"]
    answers = model(**ready(model, processor(images=list(pictures), return_tensors="pt")))
    pooled = getattr(answers, "pooler_output", None)
    if pooled is None or any("pooler" in key for key in model.absent):  # a part that was never trained says nothing
        last = answers.last_hidden_state
        pooled = last[:, 0] if last.ndim == 3 else last.mean((2, 3))
    return list(pooled.flatten(1).float().cpu().numpy())


def captions(model: Any, pictures: Sequence[NDArray[Any]], most_tokens: Sequence[int]) -> list[str]:
    """A text about each picture, of at most so many tokens; always the likeliest next one, so the text is the same."""
    processor, tokenizer = model.readers["AutoImageProcessor"], model.readers["AutoTokenizer"]
    given = ready(model, processor(images=list(pictures), return_tensors="pt"))
    tokens = model.generate(**given, max_new_tokens=max(most_tokens), do_sample=False, num_beams=1)
    # A caption that was asked to be shorter is the beginning of the same one.
    cut = [row[: most + 1] for row, most in zip(tokens.tolist(), most_tokens, strict=True)]
    return [text.strip() for text in tokenizer.batch_decode(cut, skip_special_tokens=True)]


def label_scores(model: Any, texts: Sequence[str]) -> list[NDArray[Any]]:
    """The probability of each label, [labels], for each text; of labels that exclude each other they sum up to 1."""
    tokenizer = model.readers["AutoTokenizer"]
    padded = len(texts) > 1
    most = min(tokenizer.model_max_length, MOST_TOKENS)
    given = tokenizer(list(texts), return_tensors="pt", padding=padded, truncation=True, max_length=most)
    return list(_shares(model, given))


def sound_scores(model: Any, sounds: Sequence[NDArray[np.float32]], rate: int) -> list[NDArray[Any]]:
    """As `label_scores`, for each sound [samples] at `rate`; of one over MOST_SOUND_S what its parts say on average."""
    extractor = ear(model, rate)
    answers: list[NDArray[Any]] = []
    for sound in sounds:
        parts = np.array_split(long_enough(sound, rate), math.ceil(sound.size / (MOST_SOUND_S * rate)))
        shares = [_shares(model, extractor(part, sampling_rate=rate, return_tensors="pt"))[0] for part in parts]
        answers.append(np.mean(shares, 0))
    return answers


def _shares(model: Any, given: Mapping[str, Any]) -> NDArray[Any]:
    """Probabilities [n, labels]; of labels that exclude each other they sum up to 1."""
    logits = model(**ready(model, given)).logits.float()
    several = model.config.problem_type == "multi_label_classification" or logits.shape[1] == 1
    shares: NDArray[Any] = (logits.sigmoid() if several else logits.softmax(1)).cpu().numpy()
    return shares


def ear(model: Any, rate: int) -> Any:
    """What makes numbers of sounds for this network. Raises UnavailableError where it wants them at another rate."""
    extractor = model.readers["AutoFeatureExtractor"]
    if extractor.sampling_rate != rate:
        raise UnavailableError(
            "These weights want sounds of {wanted} samples a second, and the page gives {rate}: change its RATE.",
            wanted=extractor.sampling_rate,
            rate=rate,
        )
    return extractor


def long_enough(sound: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The sound, with silence after it where it is so short that a network would make nothing of it."""
    return np.pad(sound, (0, max(0, math.ceil(LEAST_SOUND_S * rate) - sound.size)))


def ready(model: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """Tensors on the network's device; those that are not whole numbers in its precision."""
    weight = next(model.parameters())
    known = {name: value for name, value in given.items() if hasattr(value, "to")}
    return {n: v.to(weight.device, weight.dtype if v.is_floating_point() else None) for n, v in known.items()}


def _as_float(answers: Any) -> Any:
    """The network's answers in single precision, as what is made of them wants it."""
    for name, value in answers.items():
        if hasattr(value, "is_floating_point") and value.is_floating_point():
            answers[name] = value.float()
    return answers
