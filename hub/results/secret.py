"""The key of a data folder, which makes ids unguessable: the same in every process, however many start at once."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from filelock import FileLock, Timeout

from hub.files import DamagedError, clear, read_bounded, write_once

log = logging.getLogger(__name__)
SECRET_BYTES = 32
PATIENCE_S = 10.0


def load_secret(folder: Path | None) -> bytes:
    """Kept in `folder/secret` (owner-readable), or made for this run only."""
    fresh = secrets.token_bytes(SECRET_BYTES)
    if folder is None:
        return fresh
    path = folder / "secret"
    try:
        if secret := _read(path):
            return secret
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".secret.lock", timeout=PATIENCE_S):  # of those that find none, one makes it
            return _read(path) or _write_secret(path, fresh)
    except (OSError, Timeout) as error:
        log.warning("ids of results will change at the next start: %s", error)
        return fresh


def _read(path: Path) -> bytes:
    """Empty where there is none, or a damaged one."""
    try:
        secret = read_bounded(path, SECRET_BYTES)
    except (FileNotFoundError, DamagedError, IsADirectoryError):
        return b""
    return secret if len(secret) == SECRET_BYTES else b""


def _write_secret(path: Path, fresh: bytes) -> bytes:
    """Puts a whole secret in its place; nobody ever reads half of one."""
    if os.path.lexists(path):
        log.warning("%s is damaged; a new one is made, and ids of results change", path)
        clear(path)
    try:
        write_once(path, fresh, mode=0o600)  # never over that of another process, where locks do not work
    except FileExistsError:
        return _read(path) or fresh
    return fresh
