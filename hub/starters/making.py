"""Makes a page for a repository of the Hub, or a folder: `hub new NAME --from ...` and `hub serve --model ...`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from hub.decoding.decode import ImageLimits, decode
from hub.decoding.played import audio
from hub.errors import HubError, InputError, UnavailableError
from hub.files import read_text, write_atomic
from hub.images import shrink, thumbnail
from hub.kit.generating import adapting
from hub.pages.new import check_slug
from hub.results import sounds
from hub.settings import EXTRA
from hub.starters.tasks import Task, task_of
from hub.texts import Sentence, sentence
from hub.weights import extras, formats, lock, repository
from hub.weights.repository import Repository
from hub.weights.sources import HubSource, with_lora
from hub.weights.store import WeightsStore

EXAMPLE_PX = 1600  # the longer side of an example's picture
EXAMPLE_S, RATE = 30.0, 16_000  # the longest sound of an example, and samples a second where nothing else is said
UNSTATED = "Its owner states no licence: ask before you use it for more than a look."
GATED = "Its owner asks everybody who fetches it to accept terms first."


@dataclass(frozen=True, slots=True)
class Made:
    """A page that was written."""

    page: Path
    task: Task
    repository: Repository
    examples: int
    files: tuple[Path, ...]  # of the examples: pictures or sounds


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
    return Made(page, task, read, len(examples), tuple(sorted(assets.glob("example_*.*"))))


def _check_lora(source: HubSource | Path, read: Repository, store: WeightsStore) -> None:
    """That the one small file is a LoRA, before a page is written that would not load. It is fetched for that."""
    assert isinstance(source, HubSource)
    adapting.check_installed()
    adapting.count_parts(store.snapshots.fetch_lora(source, read.locked.commit))


def _check_installed(read: Repository) -> None:
    """Says in one line what is to be installed for what few repositories need."""
    for package in extras.packages(read.config, read.locked.files):
        if find_spec(package) is None:
            raise UnavailableError(
                "{what} needs the package {package}: {command}",
                what=read.name,
                package=package,
                command=EXTRA.format(name=extras.EXTRAS[package]),
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
    text = text.replace(f"RATE = {RATE:_}", f"RATE = {read.sample_rate or RATE:_}")
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
        elif task.example == "sound" and example.sound:
            file = assets / f"example_{number}.wav"
            if _write(read, source, example.sound, file, partial(_sound, read.sample_rate or RATE)):
                yield f'        Example({{"sound": "{file.name}"}}, title={_literal(example.title)}),\n'
        elif task.example == "picture" and example.picture and (example.text or not task.must_ask):
            file = assets / f"example_{number}.jpg"
            if _write(read, source, example.picture, file, _picture):
                named = f', "{task.asks}": {_literal(example.text)}' if task.asks and example.text else ""
                yield f'        Example({{"image": "{file.name}"{named}}}, title={_literal(example.title)}),\n'


def _picture(data: bytes) -> bytes:
    return thumbnail(shrink(decode(data), EXAMPLE_PX), EXAMPLE_PX, "still")


def _sound(rate: int, data: bytes) -> bytes:
    samples = audio.read(data, ImageLimits(), name="the example", max_seconds=EXAMPLE_S, sample_rate=rate)
    return sounds.write((samples, rate))[1][1].data


def _write(
    read: Repository, source: HubSource | Path, path: str, file: Path, convert: Callable[[bytes], bytes]
) -> bool:
    """Anybody's file is decoded as a visitor's is, and written anew."""
    part = file.with_name(f".{file.name}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        data = repository.fetch_file(read, source, path, part)
        if data is None:
            return False
        write_atomic(file, convert(data))
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
