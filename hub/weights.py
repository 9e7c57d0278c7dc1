"""Weights by name -> a verified local folder with its digest, config and card. The only code that would download."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hub.errors import UnavailableError
from hub.registry import ROOT

PICKLES = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5"}
EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Folder:
    """Weights found on disk. `digest` is over the names and bytes of config.json and *.safetensors."""

    name: str
    path: Path
    files: tuple[Path, ...]
    size_bytes: int
    digest: str
    config: Mapping[str, Any]

    @property
    def short_digest(self) -> str:
        return self.digest[:12]


class WeightsStore:
    """Resolves names to folders; hashes each file once as long as it does not change."""

    def __init__(self, root: Path | None = None):
        self.root = root or ROOT / "weights"
        self._lock = threading.Lock()  # guards _folders and _reading; taken last
        self._reading: dict[str, threading.Lock] = {}  # by name: large files take seconds, and others go on
        self._folders: dict[str, tuple[tuple[tuple[str, int, int], ...], Folder]] = {}

    def find(self, name: str) -> Folder:
        """The verified folder. Raises UnavailableError that says what is missing or refused."""
        path = self.root / name
        files = self._files(name, path)
        stamp = tuple((f.name, f.stat().st_mtime_ns, f.stat().st_size) for f in files)
        with self._lock:
            known = self._folders.get(name)
            if known and known[0] == stamp:
                return known[1]
            reading = self._reading.setdefault(name, threading.Lock())
        with reading:
            with self._lock:
                known = self._folders.get(name)
            if known and known[0] == stamp:
                return known[1]
            folder = _read(name, path, files)
            with self._lock:
                self._folders[name] = (stamp, folder)
            return folder

    def size_bytes(self, name: str) -> int:
        """Bytes on disk, without hashing. Raises UnavailableError."""
        return sum(f.stat().st_size for f in self._files(name, self.root / name))

    def card(self, name: str) -> tuple[dict[str, Any], str]:
        """The model card: its YAML data and its Markdown text. Raises UnavailableError."""
        path = self.root / name / "README.md"
        if not path.is_file():
            raise UnavailableError(f"Weights {name!r} have no card; expected {path}.")
        from huggingface_hub import ModelCard  # heavy, and only the page and REST detail need it

        card = ModelCard(path.read_text(encoding="utf-8"), ignore_metadata_errors=True)
        return card.data.to_dict(), card.text

    def _files(self, name: str, path: Path) -> tuple[Path, ...]:
        if not path.is_dir():
            raise UnavailableError(
                f"There are no weights {name!r}: {path} does not exist. Run its recipe or copy it there."
            )
        files = sorted(f for f in path.rglob("*") if f.suffix == ".safetensors" or _is_config(f))
        if not any(f.suffix == ".safetensors" for f in files):
            pickles = sorted(f.name for f in path.rglob("*") if f.suffix in PICKLES)
            if pickles:
                raise UnavailableError(
                    f"Weights {name!r} hold {', '.join(pickles)} but no .safetensors file. Such files can run code "
                    "when read, so the hub refuses them; convert them with safetensors and try again."
                )
            raise UnavailableError(f"Weights {name!r} in {path} hold no .safetensors file.")
        return tuple(files)


def _is_config(file: Path) -> bool:
    # metrics.json is about the weights, not part of what they answer.
    return file.suffix == ".json" and not file.name.startswith("metrics")


def _read(name: str, path: Path, files: tuple[Path, ...]) -> Folder:
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{file.relative_to(path).as_posix()}\0{content}\n".encode())
    config: dict[str, Any] = {}
    if (path / "config.json").is_file():
        try:
            config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise UnavailableError(f"Weights {name!r}: config.json is not valid JSON: {error}.") from None
    size = sum(f.stat().st_size for f in files)
    return Folder(name, path, files, size, digest.hexdigest(), freeze(config))


def freeze(value: Any) -> Any:
    """Read-only view of JSON data: mappings and tuples all the way down."""
    if isinstance(value, dict):
        return MappingProxyType({k: freeze(v) for k, v in value.items()})
    if isinstance(value, list):
        return tuple(freeze(v) for v in value)
    return value
