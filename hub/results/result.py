"""The run capsule (what was run, exactly) and the result it names.

A result is immutable: values are kept as JSON text and pictures as encoded bytes, so whoever is handed one
gets copies and nobody can change what the next one sees. `hub/results/store.py` keeps them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from hub.results.sight import Sight
from hub.texts import Sentence, restored

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "video/mp4": "mp4", "audio/wav": "wav"}
PLAYED = ("video/mp4", "audio/wav")
# What the two files of an output with data are called, by the kind of the second: boxes, plots, videos, sounds.
BOXES, PLOT = ("picture", "plain"), ("picture", "dark")
PAIRS = {
    "image/jpeg": BOXES,
    "image/png": PLOT,
    "video/mp4": ("still", "video"),
    "audio/wav": ("picture", "sound"),
}


@dataclass(frozen=True, slots=True)
class Capsule:
    """Everything an answer depends on, and so the recipe to run it again."""

    page: str
    version: str  # of the demo's own preprocessing and presentation
    weights: str  # name; empty for a demo without weights
    digest: str  # of the weights
    dtype: str
    parameters: Mapping[str, Any]  # with the seed that was used
    inputs: Mapping[str, str]  # sha256 of each picture
    tolerance: float = 0.0  # how far a network's answers may be apart by the backend, of the largest number in them

    def to_json(self) -> str:
        """Without a tolerance of 0: ids are made of this, and so stay what they were before there were backends."""
        content = asdict(self)
        if not self.tolerance:
            del content["tolerance"]
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def identify(self, secret: bytes) -> str:
        """The id: 32 hex digits, the same for the same run here, not to be guessed without `secret`."""
        return hmac.new(secret, self.to_json().encode(), hashlib.sha256).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What one result cost; times in milliseconds. `cached`: who asks had it before, and is shown it again.

    `total_ms` is of this request. The times of stages are of the run that computed the result, which may have been
    another's, and so may have been shorter or longer ago than `created_at`, when who asks had it first.
    """

    total_ms: float
    queue_ms: float
    load_ms: float
    prepare_ms: float
    infer_ms: float
    present_ms: float
    cold: bool
    cached: bool
    batch_size: int
    device: str
    dtype: str
    weights: str
    digest: str
    created_at: str | None  # ISO 8601, UTC; None for who never ran it
    remarks: tuple[str, ...] = ()  # what a reader should know of how the inputs were read; each a Sentence
    backend: str = "eager"  # how the network ran: eager PyTorch, or a compiled form, openvino


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded image; `data` holds the file's bytes. A video or a sound stands behind the picture that shows it."""

    data: bytes
    media_type: str
    width: int
    height: int
    caption: str = ""

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.media_type]


@dataclass(frozen=True, slots=True)
class Result:
    """One stored answer. `values_json` holds the outputs that are not pictures."""

    id: str
    capsule_json: str
    values_json: str
    pictures: Mapping[str, tuple[Picture, ...]]
    receipt: Receipt
    sight: Sight | None = None  # of a page that finds similar pictures
    sentences: tuple[Sentence, ...] = ()  # among the values, so that they can be translated
    asked_by: str | None = None  # who had it computed (an id of hub/people/owners.py); None: not known
    headline: str = ""  # the answer in a few words; empty: an older hub stored it, see hub/results/headline.py

    @property
    def capsule(self) -> dict[str, Any]:
        """A fresh copy of the run capsule."""
        return dict(json.loads(self.capsule_json))

    @property
    def values(self) -> dict[str, Any]:
        """A fresh copy of the outputs that are not pictures."""
        return dict(restored(json.loads(self.values_json), self.sentences))

    @property
    def kept_files(self) -> Mapping[str, tuple[Picture, ...]]:
        """What people keep of it: as `front_pictures`, but videos and sounds themselves."""
        played = {name: group[1:] for name, group in self.pictures.items() if group[-1].media_type in PLAYED}
        return {**self.front_pictures, **played}

    @property
    def front_pictures(self) -> Mapping[str, tuple[Picture, ...]]:
        """The pictures to look at: of boxes the drawn one, not the plain one that stands behind it."""
        values = self.values
        return {name: group[:1] if name in values else group for name, group in self.pictures.items()}

    def picture_path(self, name: str, number: int = 0) -> str:
        """Where a picture is below the address of results: boxes are a value too, which has the address without 0."""
        return f"{self.id}/{name}" + (f"/{number}" if number or name in self.values else "")

    @property
    def seed(self) -> int | None:
        return next((v for k, v in self.capsule["parameters"].items() if k == "seed"), None)

    @property
    def created(self) -> float:
        """Seconds since the epoch; not of a result as one who never ran it looks at it."""
        assert self.receipt.created_at is not None
        return datetime.fromisoformat(self.receipt.created_at).timestamp()

    @property
    def size_bytes(self) -> int:
        pictures = sum(len(p.data) + 256 for group in self.pictures.values() for p in group)
        sight_bytes = self.sight.size_bytes if self.sight else 0
        return pictures + sight_bytes + sys.getsizeof(self.capsule_json) + sys.getsizeof(self.values_json) + 1024
