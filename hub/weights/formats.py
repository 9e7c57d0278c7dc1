"""Model repositories in their native formats: which files are read, and what their configs say in one form.

Read are safetensors, JSON and the text files of tokenizers; never pickles, never code from a repository.
Demos get `config.json` as it is, with what other formats call differently added under timm's names:
`label_names`, and `pretrained_cfg` with `input_size`, `mean`, `std`, `interpolation`, `crop_pct`, `crop_mode`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from hub.errors import UnavailableError
from hub.files import parse_json, read_text
from hub.images import distinct_colours
from hub.weights import stand_ins

PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack"}
TEXTS = {"merges.txt", "vocab.txt"}
SENTENCEPIECE = {".model", ".spm"}
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema)(?=[.-])|^(openvino|onnx|flax|tf)_")
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
WHISPER_TASKS, MOST_LANGUAGES = ("transcribe", "translate"), 200
HALF = (0.5, 0.5, 0.5)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def is_read(path: str) -> bool:
    """Whether a model may read this file, by its name; then it counts for the digest."""
    file = PurePosixPath(path)
    if any(part.startswith(".") for part in file.parts):
        return False  # .git, and what the Hub's client keeps beside its downloads
    if file.suffix == ".json":
        # metrics.json is about the weights, not part of what they answer.
        return not file.name.startswith("metrics")
    return file.suffix in {".safetensors", ".jinja", *SENTENCEPIECE} or file.name in TEXTS


def is_pickle(path: Path) -> bool:
    """A pickle or a zip of pickles, whatever its name says: sentencepiece files share `.model` with them."""
    with path.open("rb") as stream:
        begin = stream.read(4)
    return begin[:2] in {b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"} or begin == b"PK\x03\x04"


def files_to_fetch(paths: Sequence[str], what: str) -> list[str]:
    """The files of a repository to fetch: what the model reads, and its card. Raises UnavailableError.

    Of a pipeline (model_index.json) everything in its folders; else what lies at the top. Of files in several
    precisions the plain one.
    """
    readable = [path for path in paths if is_read(path)]
    if "model_index.json" in paths:
        readable = [path for path in readable if "/" in path or path.endswith(".json")]
    else:
        readable = [path for path in readable if "/" not in path]
    tensors = [path for path in readable if path.endswith(".safetensors")]
    plain = [path for path in tensors if not _VARIANT.search(PurePosixPath(path).name)]
    whole = {PurePosixPath(path).parent for path in plain}
    spare = {path for path in tensors if path not in plain and PurePosixPath(path).parent in whole}
    if not tensors:
        raise UnavailableError(why_none(what, paths))
    return [path for path in readable if path not in spare] + [path for path in paths if path == "README.md"]


def why_none(what: str, paths: Iterable[str]) -> str:
    """The sentence for files among which there is no safetensors file."""
    pickles = sorted(path for path in paths if PurePosixPath(path).suffix in PICKLES)
    if not pickles:
        return f"{what} hold no .safetensors file."
    names = ", ".join(pickles[:3]) + (f" and {len(pickles) - 3} more" if len(pickles) > 3 else "")
    return (
        f"{what} hold {names} but no .safetensors file. Such files can run code when read, so the hub refuses them; "
        "convert them with safetensors and try again."
    )


def files_of(folder: Path, what: str) -> dict[str, Path]:
    """The files a model reads, by path in the folder. Raises UnavailableError."""
    if not folder.is_dir():
        raise UnavailableError(
            "There are no weights {what}: {folder} does not exist. Run its recipe or copy it there.",
            what=what,
            folder=folder,
        )
    everything = {f.relative_to(folder).as_posix(): f for f in sorted(folder.rglob("*")) if f.is_file()}
    files = {name: path for name, path in everything.items() if is_read(name)}
    for name, path in files.items():
        if path.suffix in SENTENCEPIECE and is_pickle(path):
            raise UnavailableError(
                "Weights {what}: {name} is a pickle, which can run code when read. It is refused.", what=what, name=name
            )
        if instead := stand_ins.what_it_is(path):
            raise UnavailableError("Weights {what}: {name} {instead}.", what=what, name=name, instead=instead)
    if not any(name.endswith(".safetensors") for name in files):
        raise UnavailableError(why_none(f"Weights {what} in {folder}", everything))
    first = [name for name in everything if "/" not in name and PurePosixPath(name).suffix in PICKLES]
    if first and "model.safetensors" not in files and "model_index.json" not in files:
        raise UnavailableError(
            "Weights {what}: {file} lies beside the safetensors file, and libraries would read it first. Take it "
            "away, or call the safetensors file model.safetensors.",
            what=what,
            file=first[0],
        )
    return files


# --- configs --------------------------------------------------------------------------------------


def config_of(folder: Path, what: str) -> dict[str, Any]:
    """config.json in the form demos read; {} where there is none. Raises UnavailableError."""
    config = _json(folder / "config.json", what)
    try:
        if "architecture" in config:
            return _timm(config)
        if "_model_class" in config:
            return _smp(config, _json(folder / "albumentations_config_eval.json", what))
        if config.get("model_type") == "whisper":
            return _whisper(config, _json(folder / "generation_config.json", what))
        if "id2label" in config:
            return _transformers(config, _json(folder / "preprocessor_config.json", what))
    except (TypeError, ValueError, AttributeError, LookupError, ArithmeticError) as error:  # anybody wrote it
        raise UnavailableError(
            "Weights {what}: config.json is not as its library writes it ({reason}).",
            what=what,
            reason=str(error)[:120],
        ) from None
    return config


def _json(path: Path, what: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        data = parse_json(read_text(path))
    except (ValueError, OSError) as error:
        raise UnavailableError(
            "Weights {what}: {name} is not valid JSON: {reason}.", what=what, name=path.name, reason=error
        ) from None
    if not isinstance(data, dict):
        raise UnavailableError(
            "Weights {what}: {name} must hold a JSON object, got {kind}.",
            what=what,
            name=path.name,
            kind=type(data).__name__,
        )
    return data


def _timm(config: dict[str, Any]) -> dict[str, Any]:
    """`architecture`; names may lie in `pretrained_cfg`, and ImageNet models have none at all."""
    if "pretrained_cfg" not in config:  # the first form timm used
        config = {**config, "pretrained_cfg": {k: v for k, v in config.items() if k not in ("architecture", "labels")}}
    settings = dict(config["pretrained_cfg"])
    count = int(config.get("num_classes") or settings.get("num_classes") or 0)
    names = config.get("label_names") or settings.get("label_names") or config.get("labels")
    if isinstance(names, dict):
        names = list(names.values())
    defaults = {"input_size": [3, 224, 224], "interpolation": "bicubic", "crop_pct": 0.875, "crop_mode": "center"}
    settings = {**defaults, "mean": IMAGENET_MEAN, "std": IMAGENET_STD, **settings}
    names = names or (imagenet_names() if count == 1000 else _numbered(count))
    return {**config, "label_names": _distinct(names), "pretrained_cfg": settings}


def _transformers(config: dict[str, Any], processor: Mapping[str, Any]) -> dict[str, Any]:
    """An image classifier of transformers: `id2label` and preprocessor_config.json."""
    names = [name for _, name in sorted(config["id2label"].items(), key=lambda entry: int(entry[0]))]
    size = processor.get("crop_size") if processor.get("do_center_crop") else processor.get("size")
    resized = processor.get("size")
    if isinstance(resized, Mapping):
        resized = resized.get("shortest_edge") or resized.get("height")
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge")
    whole = [number for number in (size, config.get("image_size"), 224) if isinstance(number, int) and number > 0]
    side = whole[0]
    plain = processor.get("do_normalize") is False
    settings = {
        "input_size": [3, side, side],
        "interpolation": _RESAMPLING.get(processor.get("resample", 2), "bilinear"),
        "mean": (0.0, 0.0, 0.0) if plain else processor.get("image_mean") or HALF,
        "std": (1.0, 1.0, 1.0) if plain else processor.get("image_std") or HALF,
        "crop_pct": side / (resized if isinstance(resized, int) and resized > 0 else side),
        "crop_mode": "center" if processor.get("do_center_crop") else "squash",
    }
    return {**config, "label_names": _distinct(names), "pretrained_cfg": settings}


def _whisper(config: dict[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """A network of Whisper's kind, with what it can be asked for: "languages", as codes, and "tasks"."""
    languages = [one.strip("<|>") for one in generation.get("lang_to_id") or ()]
    tasks = [one for one in generation.get("task_to_id") or () if one in WHISPER_TASKS]
    found = [code for code in languages if re.fullmatch("[a-z]{2,4}", code)]
    extra: dict[str, Any] = {"languages": found[:MOST_LANGUAGES] or ["en"], "tasks": tasks or [WHISPER_TASKS[0]]}
    if "id2label" in config:  # one that was made a classifier of sounds
        config = _transformers(config, {})
    return {**config, **extra}


def _smp(config: dict[str, Any], transforms: Mapping[str, Any]) -> dict[str, Any]:
    """A folder of smp's `save_pretrained`. It numbers its classes; some have albumentations' transforms beside them."""
    count = int(config.get("classes") or 1)
    extra: dict[str, Any] = {}
    if "_preprocessing" not in config:
        settings = {"height": 384, "width": 480, "multiple": 32, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
        for step in (transforms.get("transform") or {}).get("transforms") or ():
            settings |= {key: step[key] for key in ("height", "width", "mean", "std") if step.get(key)}
        extra["_preprocessing"] = settings
    if "_classes" not in config:
        pairs = zip(_numbered(count), distinct_colours(count), strict=True)
        extra["_classes"] = [{"name": name, "colour": colour} for name, colour in pairs]
    return {**config, **extra}


def _distinct(names: Sequence[Any]) -> list[str]:
    """Names that differ: answers are told by name, and ImageNet has two cranes, a bird and a machine."""
    texts = [str(name) for name in names]
    counts = Counter(texts)
    return [f"{text} ({number})" if counts[text] > 1 else text for number, text in enumerate(texts)]


def _numbered(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def imagenet_names() -> list[str]:
    """The thousand ImageNet classes, from the lists timm brings, without importing timm."""
    spec = find_spec("timm")
    if spec is None or not spec.submodule_search_locations:
        return _numbered(1000)
    folder = Path(spec.submodule_search_locations[0]) / "data" / "_info"
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    lemmas = dict(line.split("\t", 1) for line in lines)
    return [lemmas[synset] for synset in (folder / "imagenet_synsets.txt").read_text().split()]


def freeze(value: Any) -> Any:
    """Read-only view of JSON data: mappings and tuples all the way down."""
    if isinstance(value, dict):
        return MappingProxyType({k: freeze(v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(v) for v in value)
    return value
