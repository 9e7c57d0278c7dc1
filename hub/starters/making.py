"""Makes a page for a repository of the Hub, or a folder: `hub new NAME --from ...` and `hub serve --model ...`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from hub.decoding.decode import decode
from hub.errors import HubError, InputError, UnavailableError
from hub.files import read_text, write_atomic
from hub.images import shrink, thumbnail
from hub.kit.generating import adapting
from hub.pages.new import check_slug
from hub.settings import EXTRA
from hub.texts import Sentence, sentence
from hub.weights import formats, lock, repository
from hub.weights.repository import CardExample, Repository
from hub.weights.sources import HubSource, with_lora
from hub.weights.store import WeightsStore

EXAMPLE_PX = 1600  # the longer side of an example's picture
OLDER_TOKENIZERS = "sentencepiece"  # no page needs it, unless its tokenizer is of that kind
DRAWING = "text_to_image"  # the starter of pipelines
ASSIGNMENT = "scipy"  # transformers builds these kinds with it alone, whatever they are for
ASSIGNING = ("eomt", "eomt_dinov3", "mask2former", "maskformer", "oneformer")
UNSTATED = "Its owner states no licence: ask before you use it for more than a look."
GATED = "Its owner asks everybody who fetches it to accept terms first."


@dataclass(frozen=True, slots=True)
class Task:
    """A task that there is a page for."""

    tag: str  # the Hub's pipeline tag
    starter: str  # the page to begin from, a module beside this one
    ends: tuple[str, ...]  # how the names of its architectures end
    lists: tuple[str, ...]  # where transformers lists the kinds of models that it has for the task
    example: str = "picture"  # the input that a card's example is for
    kinds: tuple[str, ...] = ()  # which of them the page can ask; empty: all
    asks: str = ""  # the input that the labels of a card's example are for
    must_ask: bool = False  # an example without them is none


TASKS = (
    Task("image-classification", "image_classification", ("ForImageClassification",), ("IMAGE_CLASSIFICATION",)),
    Task("object-detection", "object_detection", ("ForObjectDetection",), ("OBJECT_DETECTION",)),
    Task(
        "zero-shot-object-detection",
        "zero_shot_object_detection",
        ("Owlv2ForObjectDetection", "OwlViTForObjectDetection"),
        ("ZERO_SHOT_OBJECT_DETECTION",),
        kinds=("owlv2", "owlvit"),
        asks="names",
    ),
    Task(
        "image-segmentation",
        "image_segmentation",
        ("ForSemanticSegmentation", "ForUniversalSegmentation", "ForInstanceSegmentation"),
        ("SEMANTIC_SEGMENTATION", "UNIVERSAL_SEGMENTATION"),
    ),
    Task("depth-estimation", "depth_estimation", ("ForDepthEstimation",), ("DEPTH_ESTIMATION",)),
    Task(
        "image-to-text",
        "image_to_text",
        ("BlipForConditionalGeneration", "GitForCausalLM", "VisionEncoderDecoderModel"),
        ("IMAGE_TEXT_TO_TEXT",),
        kinds=("blip", "git", "vision-encoder-decoder"),  # others answer a question, or write as people chat
    ),
    Task(
        "image-feature-extraction",
        "image_feature_extraction",
        ("Model",),
        ("IMAGE",),
        kinds=(
            *("beit", "convnext", "convnextv2", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "regnet"),
            *("resnet", "siglip_vision_model", "swin", "swinv2", "vit"),
        ),
    ),
    Task(
        "visual-question-answering",
        "visual_question_answering",
        ("ForQuestionAnswering",),
        ("VISUAL_QUESTION_ANSWERING",),
        kinds=("blip", "vilt"),
        asks="question",
        must_ask=True,
    ),
    Task(
        "text-classification",
        "text_classification",
        ("ForSequenceClassification",),
        ("SEQUENCE_CLASSIFICATION",),
        "text",
    ),
    Task("text-to-image", "text_to_image", (), (), "prompt"),
    Task("image-to-image", "text_to_image", (), (), "prompt"),
    Task("text-generation", "text_generation", ("ForCausalLM",), ("CAUSAL_LM",), "text"),
)


@dataclass(frozen=True, slots=True)
class Made:
    """A page that was written."""

    page: Path
    task: Task
    repository: Repository
    examples: int
    pictures: tuple[Path, ...]  # of the examples


def create_from(
    text: str, slug: str, folder: Path, store: WeightsStore, *, lora: str = "", at_once: bool = False
) -> Made:
    """Writes `<folder>/<slug>.py` for `hf://owner/name[@revision]` or a path, with its entry in the store's lock.

    A folder is copied to `weights/<slug>/`. Raises HubError, and then has written no page. `at_once`: a page to serve
    now, over an older one; a folder stays where it is, is linked to, and may change. `lora`: a repository whose LoRA is
    added to a pipeline of diffusers.
    """
    check_slug(slug)
    page = folder / f"{slug}.py"
    if page.exists() and not at_once:
        raise InputError("{path} exists already. Choose another name, or remove it first.", path=page)
    source = with_lora(text, lora)
    if isinstance(source, HubSource):
        read, name = repository.read_remote(source, store.snapshots), source.address
    elif source.is_dir():
        read, name = repository.read_folder(source), slug
    else:
        raise InputError("{text!r} is no folder. A model of the Hub is hf://owner/name[@revision].", text=text)
    task = task_of(read)
    _check_installed(read)
    added = source.lora.repo if isinstance(source, HubSource) and source.lora else ""
    if added:
        _check_lora(source, read, store)
    assets = folder / "assets" / slug
    examples = list(_examples(read, source, task, assets))
    try:
        if isinstance(source, Path) and at_once:
            _link(source, store.root / slug)
        else:
            if isinstance(source, Path):
                _copy(source, store.root / slug)
            lock.write(store.lock_path, {**store.locked(), name: read.locked})
        folder.mkdir(parents=True, exist_ok=True)
        title = (added or read.name).split("/")[-1] if at_once else slug.replace("_", " ").capitalize()
        write_atomic(page, page_text(task, read, title, name, examples, added).encode())
    except OSError as error:
        raise InputError(
            "{path} cannot be written: {reason}.", path=error.filename or folder, reason=error.strerror
        ) from None
    return Made(page, task, read, len(examples), tuple(sorted(assets.glob("example_*.jpg"))))


def _check_lora(source: HubSource | Path, read: Repository, store: WeightsStore) -> None:
    """That the one small file is a LoRA, before a page is written that would not load. It is fetched for that."""
    assert isinstance(source, HubSource)
    adapting.check_installed()
    adapting.count_parts(store.snapshots.fetch_lora(source, read.locked.commit))


def task_of(read: Repository) -> Task:
    """The task by the repository's tag, else by its architecture. Raises UnavailableError with those there are."""
    stated = read.config.get("architectures")
    names = [one for one in stated if isinstance(one, str)] if isinstance(stated, list) else []
    by_tag = next((task for task in TASKS if task.tag == read.task), None)
    matches = [(len(end), task) for task in TASKS for end in task.ends for name in names if name.endswith(end)]
    by_name = max(matches, key=lambda match: match[0])[1] if matches else None  # Owlv2ForObjectDetection is no DETR
    if by_tag is None and by_name is None and "architecture" in read.config:
        by_name = TASKS[0]  # timm names no class
    task = by_tag or by_name
    if repository.PIPELINE in read.config:
        task = task if task is not None and task.starter == DRAWING else _task(DRAWING)
    if task is None:
        raise UnavailableError(
            "There is no page for the task of {what} ({task}). There are pages for {known}. Another task: write its "
            "page with `demo-hub new NAME`.",
            what=read.name,
            task=read.task or ", ".join(names)[:120] or sentence("it names none"),
            known=", ".join(one.tag for one in TASKS),
        )
    _check_kind(read, task)
    return task


def _check_kind(read: Repository, task: Task) -> None:
    """Refuses what no library that is installed has a network for, or what the page cannot ask."""
    if task is TASKS[0] and "architecture" in read.config:
        return
    if task.starter == DRAWING:
        _check_pipeline(read, task)
        return
    from transformers.models.auto import modeling_auto

    kind = str(read.config.get("model_type") or "")[:60]
    known = {name for one in task.lists for name in getattr(modeling_auto, f"MODEL_FOR_{one}_MAPPING_NAMES")}
    if kind not in known:
        raise UnavailableError(
            "transformers has no network of the kind {kind!r} for {task}, so {what} cannot be run here without its own "
            "code.",
            kind=kind,
            task=task.tag,
            what=read.name,
        )
    if task.kinds and kind not in task.kinds:
        raise UnavailableError(
            "{what} is of the kind {kind!r}; the page for {task} can ask {known} alone.",
            what=read.name,
            kind=kind,
            task=task.tag,
            known=", ".join(task.kinds),
        )


def _check_pipeline(read: Repository, task: Task) -> None:
    """Refuses what diffusers' AutoPipeline does not know."""
    from diffusers.pipelines import auto_pipeline

    kind = str(read.config.get(repository.PIPELINE, {}).get("_class_name") or "")[:60]
    known = (auto_pipeline.AUTO_TEXT2IMAGE_PIPELINES_MAPPING, auto_pipeline.AUTO_IMAGE2IMAGE_PIPELINES_MAPPING)
    if kind not in {one.__name__ for mapping in known for one in mapping.values()}:
        raise UnavailableError(
            "diffusers has no pipeline of the kind {kind!r} for {task}, so {what} cannot be run here without its own "
            "code.",
            kind=kind,
            task=task.tag,
            what=read.name,
        )


def _task(starter: str) -> Task:
    return next(task for task in TASKS if task.starter == starter)


def _check_installed(read: Repository) -> None:
    """Says in one line what is to be installed for what few repositories need."""
    files = read.locked.files
    older = any(Path(file).suffix in formats.SENTENCEPIECE for file in files) and "tokenizer.json" not in files
    assigns = read.config.get("model_type") in ASSIGNING
    for is_needed, package, extra in ((older, OLDER_TOKENIZERS, "text"), (assigns, ASSIGNMENT, "segment")):
        if is_needed and find_spec(package) is None:
            raise UnavailableError(
                "{what} needs the package {package}: {command}",
                what=read.name,
                package=package,
                command=EXTRA.format(name=extra),
            )


def remarks(read: Repository) -> list[Sentence]:
    """What people should know before they use it."""
    lines = [] if read.licence or not read.commit else [sentence(UNSTATED)]  # of a folder of theirs people know it
    return [*lines, sentence(GATED)] if read.gated else lines


def page_text(task: Task, read: Repository, title: str, weights: str, examples: list[str], lora: str = "") -> str:
    """The starter with its words filled in. What is from outside stands in quotes, as Python reads them."""
    text = read_text(Path(__file__).with_name(f"{task.starter}.py"))
    note = " ".join(remarks(read))
    text = text.replace('    note="NOTE",\n', f"    note={_literal(note)},\n" if note else "")
    if examples:
        text = text.replace(" Demo,", " Demo, Example,", 1)
    # By way of letters that nobody writes, so that no word of the card is taken for one of ours.
    words = {
        "MODEL_NAME": "".join(letter for letter in read.name if letter.isalnum() or letter in "/._-"),
        '"TITLE"': _literal(title),
        '"WEIGHTS"': _literal(weights),
        '"MODEL_TITLE"': _literal(f"{read.name} + {lora}" if lora else read.name),
        "    examples=(),\n": "    examples=(\n" + "".join(examples) + "    ),\n" if examples else "    examples=(),\n",
    }
    marks = {key: chr(0xE000 + number) for number, key in enumerate(words)}
    for key, mark in marks.items():
        text = text.replace(key, mark)
    for key, mark in marks.items():
        text = text.replace(mark, words[key])
    return text


def _literal(text: str) -> str:
    """The text as a string of Python."""
    literal = json.dumps(text, ensure_ascii=False)
    return literal if literal.isprintable() else repr(text)


def _examples(read: Repository, source: HubSource | Path, task: Task, assets: Path) -> Iterator[str]:
    """The page's lines for what the card has as examples; their pictures are written."""
    for number, example in enumerate(read.examples, 1):
        if task.example in ("text", "prompt") and example.text:
            yield f'        Example({{"{task.example}": {_literal(example.text)}}}, title={_literal(example.title)}),\n'
        elif task.example == "picture" and example.picture and (example.text or not task.must_ask):
            file = assets / f"example_{number}.jpg"
            if _write_picture(read, source, example, file):
                named = f', "{task.asks}": {_literal(example.text)}' if task.asks and example.text else ""
                yield f'        Example({{"image": "{file.name}"{named}}}, title={_literal(example.title)}),\n'


def _write_picture(read: Repository, source: HubSource | Path, example: CardExample, file: Path) -> bool:
    """Anybody's file is decoded as a visitor's is, and written anew."""
    part = file.with_name(f".{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        data = repository.fetch_picture(read, source, example.picture, part)
        if data is None:
            return False
        write_atomic(file, thumbnail(shrink(decode(data), EXAMPLE_PX), EXAMPLE_PX, "still"))
    except (HubError, OSError):
        return False
    finally:
        part.unlink(missing_ok=True)
    return True


def _link(source: Path, link: Path) -> None:
    """The folder itself under the weights' name: gigabytes are not copied to look at them."""
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(source.resolve(), target_is_directory=True)


def _copy(source: Path, to: Path) -> None:
    """The files that a model reads, and the card."""
    if to.exists():
        raise InputError("{path} exists already. Choose another name, or remove it first.", path=to)
    files = dict(formats.files_of(source, repr(source.name)))
    if (source / "README.md").is_file():
        files["README.md"] = source / "README.md"
    for name, path in files.items():
        (to / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to / name)
