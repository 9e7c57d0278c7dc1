"""What a repository says of itself: task, licence, the card's examples; and whether it can be run here at all."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from hub.errors import HubError, UnavailableError
from hub.files import parse_json, read_bounded
from hub.weights import formats, lock, remote
from hub.weights.cards import front_of
from hub.weights.lock import Locked
from hub.weights.remote import Listing, RemoteFile
from hub.weights.snapshots import Snapshots
from hub.weights.sources import HubSource

log = logging.getLogger(__name__)

PIPELINE = "model_index.json"  # of diffusers; its parts have configs of their own
CONFIGS = ("config.json", "preprocessor_config.json", "processor_config.json", "tokenizer_config.json", PIPELINE)
JSON_BYTES, CARD_BYTES, EXAMPLE_BYTES = 8 * 2**20, 256 * 1024, 8 * 2**20
EXAMPLES, TITLE_CHARS, TEXT_CHARS, LABELS_CHARS = 4, 80, 1000, 400  # of a card's widget
PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
SOUNDS = {".flac", ".m4a", ".mp3", ".ogg", ".wav"}
LICENCE = re.compile(r"[\w .+/()-]{1,60}")
OWN_CODE = (
    "{what} wants its own code run ({where} names it), which is not done here. Look for a repository of the same "
    "model whose architecture transformers knows itself."
)
MOST_SIDE_PX = 4096  # of what a preprocessing makes of every picture
MOST_LAYERS = 1000  # a config that says more would keep a process building for hours
# The most that a preprocessing may want of sounds; more would fill the memory, whatever the sound.
OF_SOUNDS = {"sampling_rate": 48_000, "chunk_length": 60, "max_length": 12_000, "n_fft": 8192, "num_mel_bins": 1024}


@dataclass(frozen=True, slots=True)
class CardExample:
    """One entry of a card's widget: a picture with labels or not, a sound, both files in the repository, or a text."""

    title: str
    text: str = ""
    picture: str = ""  # path in the repository
    sound: str = ""  # likewise


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit, or a folder, that can be run."""

    name: str  # owner/name, or the folder's
    commit: str  # empty for a folder
    task: str  # the Hub's pipeline tag; empty: nothing says it
    config: Mapping[str, Any]
    licence: str  # empty: it states none
    gated: bool
    examples: tuple[CardExample, ...]
    locked: Locked
    sample_rate: int = 0  # of the sounds that its preprocessing wants; 0: it does not say


def read_remote(source: HubSource, snapshots: Snapshots) -> Repository:
    """Resolves a repository to a commit and reads its small files. Raises UnavailableError."""
    locked = snapshots.resolve(source)
    listing = remote.listing(source, locked.commit)
    folder = snapshots.folder_of(source, locked.commit)
    files = {file.path for file in listing.files}
    return _read(source.repo, folder, files, locked, listing)


def read_folder(folder: Path) -> Repository:
    """Reads a folder of this machine. Raises UnavailableError."""
    readable = formats.files_of(folder, repr(folder.name))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return _read(folder.resolve().name, folder, files, lock.of_files(readable), Listing("", ()))


def _read(name: str, folder: Path, files: set[str], locked: Locked, listing: Listing) -> Repository:
    configs = {file: _json(folder / file, name) for file in CONFIGS}
    for file, content in configs.items():
        if key := _own_code(content):
            raise UnavailableError(OWN_CODE, what=name, where=f"{key} in {file}")
    _check_layers(configs["config.json"], name)
    _check_sizes(configs["preprocessor_config.json"], name)
    _check_sizes(configs["processor_config.json"].get("image_processor"), name)
    hearing = _hearing(configs)
    _check_sizes(hearing, name)
    _check_sounds(hearing, name)
    card = _card(folder / "README.md")
    task = card.get("pipeline_tag") or listing.task
    return Repository(
        name=name,
        commit=locked.commit,
        task=task if isinstance(task, str) and re.fullmatch(r"[a-z0-9-]{1,60}", task) else "",
        config=configs["config.json"] if not configs[PIPELINE] else {PIPELINE: configs[PIPELINE]},
        licence=_licence(card),
        gated=listing.gated,
        examples=tuple(_examples(card, name, files)),
        locked=locked,
        sample_rate=hearing.get("sampling_rate") or 0,
    )


def _hearing(configs: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    """Where the preprocessing of sounds stands, if there is any: newer repositories have all in one file."""
    inner = configs["processor_config.json"].get("feature_extractor")
    return inner if isinstance(inner, dict) else configs["preprocessor_config.json"]


def _own_code(content: Mapping[str, Any]) -> str:
    """The key by which a config asks for code that is no library's; empty: it asks for none."""
    for key in ("auto_map", "custom_pipelines"):
        if content.get(key):
            return key
    attention = ("attn_implementation", "_attn_implementation")  # owner/name is a repository of compiled code
    return next((key for key in attention if "/" in str(content.get(key, ""))), "")


def _check_layers(config: Mapping[str, Any], name: str) -> None:
    """Refuses a number of layers that no network has, at any depth of the config."""
    pending: list[Any] = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, list):
            pending.extend(one for one in value if isinstance(one, dict | list))
        for key, inner in value.items() if isinstance(value, dict) else ():
            counts = [one for one in (inner if isinstance(inner, list) else [inner]) if isinstance(one, int)]
            if re.search(r"layers|depth|blocks|stages", str(key)) and any(count > MOST_LAYERS for count in counts):
                text = "{what}: config.json says {key} = {count}, more than any network has. It is refused."
                raise UnavailableError(text, what=name, key=str(key)[:60], count=max(counts))
            if isinstance(inner, dict | list):
                pending.append(inner)


def _check_sizes(preprocessing: Any, name: str) -> None:
    """Refuses a preprocessing that makes any picture so large that it would fill the memory."""
    for key, value in preprocessing.items() if isinstance(preprocessing, dict) else ():
        if "size" in str(key):
            sides = value.values() if isinstance(value, dict) else value if isinstance(value, list) else [value]
            most = max((side for side in sides if isinstance(side, int | float)), default=0)
            if most > MOST_SIDE_PX:
                text = "{what}: its preprocessing makes pictures of {side} px ({key}), more than {most}. It is refused."
                raise UnavailableError(text, what=name, side=most, key=str(key)[:60], most=MOST_SIDE_PX)


def _check_sounds(hearing: Mapping[str, Any], name: str) -> None:
    """Refuses a preprocessing of sounds that no library writes, or that makes any of them huge."""
    for key, most in OF_SOUNDS.items():
        value = most if hearing.get(key) is None else hearing[key]
        if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= most:
            text = "{what}: its preprocessing of sounds says {key} = {value}; from 1 to {most} is read. It is refused."
            raise UnavailableError(text, what=name, key=key, value=str(value)[:40], most=most)


def _json(path: Path, name: str) -> dict[str, Any]:
    """A config of the repository; a link is followed, since caches of the Hub's own client are full of them."""
    if not path.is_file():
        return {}
    try:
        content = parse_json(read_bounded(path.resolve(), JSON_BYTES))
    except (OSError, ValueError) as error:
        raise UnavailableError(
            "{what}: {file} cannot be read: {reason}.", what=name, file=path.name, reason=error
        ) from None
    return content if isinstance(content, dict) else {}


def _card(path: Path) -> dict[str, Any]:
    """What stands in front of the card; a card that cannot be read says nothing."""
    if not path.is_file():
        return {}
    try:
        with path.open("rb") as stream:
            return front_of(stream.read(CARD_BYTES).decode("utf-8-sig", "replace"))
    except (OSError, ValueError) as error:
        log.info("the card %s is not read: %r", path, error)
        return {}


def _licence(card: Mapping[str, Any]) -> str:
    stated = (card.get("license_name"), card.get("license"))
    return next((one for one in stated if isinstance(one, str) and LICENCE.fullmatch(one)), "")


def _examples(card: Mapping[str, Any], name: str, files: set[str]) -> Iterator[CardExample]:
    """The widget's entries that need nothing from elsewhere."""
    entries = card.get("widget")
    usable = [_example(entry, name, files) for entry in (entries if isinstance(entries, list) else ())[:50]]
    yield from [example for example in usable if example][:EXAMPLES]


def _example(entry: object, name: str, files: set[str]) -> CardExample | None:
    if not isinstance(entry, dict):
        return None
    source, text, words = entry.get("src"), entry.get("text"), entry.get("example_title")
    title = _line(words) if isinstance(words, str) else ""
    if isinstance(source, str):
        path = _path_in(source, name)
        kind = PurePosixPath(path).suffix.lower()
        title = title or _line(PurePosixPath(path).stem.replace("_", " "))
        if path in files and kind in PICTURES:
            labels = entry.get("candidate_labels") or entry.get("text")  # what to look for, or what is asked
            asked = labels.strip() if isinstance(labels, str) and len(labels) <= LABELS_CHARS else ""
            return CardExample(title, asked, path)
        return CardExample(title, sound=path) if path in files and kind in SOUNDS else None
    if isinstance(text, str) and text.strip() and len(text) <= TEXT_CHARS:
        return CardExample(title or _line(text), text=text.strip())
    return None


def _line(text: str) -> str:
    """One short line of what somebody wrote, which can be printed and kept in a file."""
    printable = "".join(letter for letter in " ".join(text.split()) if letter.isprintable())
    return printable[:TITLE_CHARS].strip() or "Example"


def _path_in(source: str, name: str) -> str:
    """The path that a widget's address means: it is relative, or of the repository itself on the Hub."""
    try:
        path = unquote(urlsplit(source).path)
    except ValueError:
        return ""
    if "://" not in source:
        return path.removeprefix("./")
    kind, _, rest = path.removeprefix(f"/{name}/").partition("/")
    revision, _, within = rest.partition("/")
    return within if path.startswith(f"/{name}/") and kind in ("resolve", "raw", "blob") and revision else ""


def fetch_file(repository: Repository, source: HubSource | Path, path: str, to: Path) -> bytes | None:
    """The bytes of an example's picture; None for one that is too large, or that cannot be had."""
    try:
        lock.check_path(path, repository.name)
        if isinstance(source, Path):
            return read_bounded(source / path, EXAMPLE_BYTES)
        file = _file(remote.listing(source, repository.commit), path)
        if file is None or file.size > EXAMPLE_BYTES:
            return None
        remote.download(source, repository.commit, file, to, lambda bytes: None)
        return read_bounded(to, EXAMPLE_BYTES)
    except (HubError, OSError, ValueError) as error:
        log.warning("the example %r is left out: %s", path, error)
        return None


def _file(listing: Listing, path: str) -> RemoteFile | None:
    return next((file for file in listing.files if file.path == path), None)
