"""What a result keeps of the picture it was made from: the model's embedding of it, and a thumbnail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hub.errors import HubError
from hub.images import thumbnail

THUMBNAIL_SIDE = 160  # pixels, the longer side at most


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One picture as the model saw it. `owner` names the browser session that had it made, hashed; or is empty."""

    embedding: NDArray[np.float32]  # [features], of length 1, read-only
    thumbnail: bytes  # JPEG
    owner: str = ""

    @property
    def size_bytes(self) -> int:
        return self.embedding.nbytes + len(self.thumbnail) + 256


def look(slug: str, output: Any, image: Image.Image, owner: str) -> Sight | None:
    """The sight of one run; None when the embedding is zero and so points nowhere.

    Raises HubError when `infer` did not return what `similar=True` promises.
    """
    embedding = output.get("embedding") if isinstance(output, dict) else None
    if (
        not isinstance(embedding, np.ndarray)
        or embedding.ndim != 1
        or embedding.dtype.kind != "f"
        or not embedding.size
    ):
        what = (
            f"{embedding.dtype} {list(embedding.shape)}" if isinstance(embedding, np.ndarray) else type(output).__name__
        )
        raise HubError(
            '{slug}: with similar=True, infer must return dicts which hold "embedding", a float32 array '
            "[features]; got {given}.",
            slug=slug,
            given=what,
        )
    unit = embedding.astype(np.float32)  # a copy: the output is shared
    length = float(np.linalg.norm(unit))
    if not np.isfinite(length):
        raise HubError("{slug}: the embedding holds numbers that are not finite.", slug=slug)
    if length == 0:
        return None
    unit /= length
    unit.flags.writeable = False
    return Sight(unit, thumbnail(image, THUMBNAIL_SIDE, "sight"), owner)


def to_bytes(sight: Sight) -> bytes:
    """The file of a sight: safetensors, so that reading it can run no code. The owner is kept elsewhere."""
    from safetensors.numpy import save

    data: bytes = save({"embedding": sight.embedding, "thumbnail": np.frombuffer(sight.thumbnail, np.uint8)})
    return data


def from_bytes(data: bytes, owner: str) -> Sight:
    """The sight in such a file. Raises ValueError when it is not one."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(data)
        embedding, picture = tensors["embedding"], tensors["thumbnail"]
    except (SafetensorError, KeyError) as error:
        raise ValueError(f"no picture's embedding: {error}") from None
    right = embedding.dtype == np.float32 and embedding.ndim == 1 and embedding.size and picture.dtype == np.uint8
    if not right or not np.isfinite(embedding).all():
        raise ValueError("no picture's embedding: its numbers are of another kind")
    embedding.flags.writeable = False
    return Sight(embedding, picture.tobytes(), owner)
