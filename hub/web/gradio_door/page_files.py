"""The files of open pages: what visitors upload, and what pages show; each is given only to whom it is for.

All lie in one folder of this process, which goes with it. A path that comes from outside is looked up here and nowhere
else: it names a file only if it lies in that folder, is a plain file, and is the asking visitor's, or everybody's.

    upload-<32 hex>/name     an upload: for who sent it. A signed-in user's or a browser's (cookie) own; where there is
                             neither, of the address it came from, and its name cannot be guessed.
    <64 hex>/name            an example, as Gradio copied it: for everybody
    shown-.../<result>/      what a result looks like: for whoever knows the result's id, which cannot be guessed
    shown-.../link-<id>/     the pictures of a link, while there is that link
    shown-.../history-<id>/  the pictures of a run, for whose history has it
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from anyio import to_thread

from hub.errors import BusyError, HubError, InputError, NotFoundError, TooLargeError, UnavailableError
from hub.people.limits import network
from hub.people.users import Caller
from hub.web.gradio_door.left_folders import make_folder, remove_old

if TYPE_CHECKING:
    from hub.hub import Hub

KEPT_S, SWEEP_S = 15 * 60.0, 60.0  # an upload stays so long after it came or was used last
FILES = 8  # in one upload; pages send one picture at a time
OF_CALLER, OF_ADDRESS, OF_ALL = 8, 32, 64  # largest uploads that may lie here at once
PATH_MOST = 4096  # characters
EXAMPLE, UPLOAD, RESULT = re.compile("[0-9a-f]{64}"), re.compile("upload-[0-9a-f]{32}"), re.compile("[0-9a-f]{32}")
NOT_YOURS = (
    "This picture was not uploaded here by you, or too long ago. Choose the picture again (a program: upload it first)."
)
TOO_MUCH = "You have uploaded as much as this hub holds for one. Run what is there, or wait some minutes."
TOO_MUCH_OF_ALL = "Visitors have uploaded as much as this hub holds at once. Try again in some minutes."
NOT_FETCHED = "A picture must be uploaded: this hub fetches nothing from an address. Download it, and give the file."


@cache
def own_folder() -> Path:
    """This process's folder; also where Gradio puts what it copies, so that all of it goes in the end."""
    folder = make_folder(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


@dataclass(slots=True)
class Upload:
    """One uploaded file. Counted from before its first byte is there."""

    owner: str
    address: str
    size: int = 0
    used: bool = False  # by a run, so it may make room for others
    at: float = 0.0  # of the last use, on the monotonic clock
    digest: str = ""
    path: Path | None = None  # None while it is coming


class PageFiles:
    """One hub's part of that folder."""

    def __init__(self, hub: Hub, clock: Callable[[], float] = time.monotonic):
        self._hub, self._clock = hub, clock
        self.folder = own_folder()
        self.results = Path(tempfile.mkdtemp(prefix="shown-", dir=self.folder))
        # Guards _uploads; taken alone, and never while a file is written.
        self._lock = threading.Lock()
        self._uploads: dict[str, Upload] = {}  # by the name of its folder
        hub.add_copies(self)

    # --- taking -----------------------------------------------------------------------------------

    @property
    def largest(self) -> int:
        return self._hub.limits.max_bytes

    def begin(self, caller: Caller) -> str:
        """A place for an upload that is about to come. Raises BusyError."""
        key = f"upload-{secrets.token_hex(16)}"
        upload = Upload(owner_of(caller), network(caller.address), at=self._clock())
        with self._lock:
            self._uploads[key] = upload
        try:
            self.count(key, 0)
        except BusyError:
            self.drop(key)
            raise
        return key

    def count(self, key: str, size: int) -> None:
        """So many more bytes of an upload came. Raises BusyError when that is more than this caller or all may have."""
        self.sweep()
        with self._lock:
            upload = self._uploads.get(key)
            if upload is None:
                raise NotFoundError(NOT_YOURS)
            upload.size, upload.at = upload.size + size, self._clock()
            for counts, most, heap in (
                (lambda one: one.owner == upload.owner, OF_CALLER, None),
                (lambda one: one.address == upload.address, OF_ADDRESS, lambda one: one.owner),
                (lambda one: True, OF_ALL, lambda one: one.address),
            ):
                names = self._make_room(counts, most, heap, upload)
                if names is None:
                    raise BusyError(TOO_MUCH if most == OF_CALLER else TOO_MUCH_OF_ALL, retry_after_s=60)
                for name in names:
                    self._remove(name)

    def _make_room(
        self, counts: Callable[[Upload], bool], times: int, heap: Callable[[Upload], str] | None, new: Upload
    ) -> list[str] | None:
        """Names of uploads that go for `new`; None: that is not enough. Needs the lock.

        Used ones go first, the oldest before the others; then the oldest of whoever has most by `heap`, so that nobody
        keeps the others from uploading by leaving many.
        """
        those = {name: one for name, one in self._uploads.items() if counts(one)}
        over, count = sum(one.size for one in those.values()) - times * self.largest, len(those) - times * FILES
        names = []
        for name, one in sorted(those.items(), key=lambda item: item[1].at):
            if over <= 0 and count <= 0:
                break
            if one.used:
                names.append(name)
                over, count = over - one.size, count - 1
        others = {name: one for name, one in those.items() if name not in names and one is not new}
        while (over > 0 or count > 0) and heap is not None and others:
            most = Counter(map(heap, others.values())).most_common(1)[0][0]
            name = min((n for n, one in others.items() if heap(one) == most), key=lambda n: others[n].at)
            over, count = over - others.pop(name).size, count - 1
            names.append(name)
        return names if over <= 0 and count <= 0 else None

    def keep(self, key: str, name: str, data: bytes) -> str:
        """Writes an upload that has come; returns the path that its sender may name."""
        if len(data) > self.largest:
            most, size = f"{self.largest / 2**20:g}", f"{len(data) / 2**20:.1f}"
            raise TooLargeError("The file has {size} MB; at most {most} MB are read.", size=size, most=most)
        path = self.folder / key / file_name(name)
        try:
            path.parent.mkdir(mode=0o700)
            path.write_bytes(data)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise UnavailableError("The upload cannot be kept: {reason}.", reason=reason) from None
        digest = hashlib.sha256(data).hexdigest()
        with self._lock:
            upload = self._uploads.get(key)
            if upload is not None:
                upload.path, upload.size, upload.at, upload.digest = path, len(data), self._clock(), digest
        if upload is None:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise NotFoundError(NOT_YOURS)
        return str(path)

    # --- giving -----------------------------------------------------------------------------------

    def find(self, caller: Caller, text: str, *, use: bool = False) -> Path:
        """The file that a path from outside names, if this caller may have it; `use`: as the input of a run.

        Raises InputError or TooLargeError.
        """
        path = self._inside(text)
        if path is None or not self._may(caller, path, use):
            raise InputError(NOT_YOURS)
        if path.stat().st_size > self.largest and use:
            most = f"{self.largest / 2**20:g}"
            raise TooLargeError("The file is larger than the {most} MB that are read.", most=most)
        return path

    def _inside(self, text: str) -> Path | None:
        """A plain file in the folder, however the path is written; None: it is none. Nothing outside is looked at."""
        if not text or len(text) > PATH_MOST or "\0" in text:
            return None
        path = Path(os.path.normpath(text))
        if not path.is_relative_to(self.folder):
            return None
        try:
            plain = Path(os.path.realpath(path)) == path and stat.S_ISREG(path.lstat().st_mode)
        except (OSError, ValueError):
            return None
        return path if plain else None

    def _may(self, caller: Caller, path: Path, use: bool) -> bool:
        place, *rest = path.relative_to(self.folder).parts
        if len(rest) == 1 and EXAMPLE.fullmatch(place):
            return True
        if len(rest) == 1 and UPLOAD.fullmatch(place):
            return self._is_own(caller, place, use)
        if place != self.results.name or len(rest) < 2:
            return False
        kind, _, id = rest[0].rpartition("-")
        try:
            if kind == "link":
                self._hub.sharing.links.read(id)
            elif kind == "history":
                self._hub.history.get(self._hub.history.owner(caller), id)
            else:
                return RESULT.fullmatch(rest[0]) is not None
        except HubError:
            return False
        return True

    def _is_own(self, caller: Caller, key: str, use: bool) -> bool:
        self.sweep()
        with self._lock:
            upload = self._uploads.get(key)
            if upload is None or upload.path is None or upload.owner not in (owner_of(caller), _address_owner(caller)):
                return False
            if use:  # to look at an upload does not prolong its time
                upload.at, upload.used = self._clock(), True
            return True

    # --- forgetting -------------------------------------------------------------------------------

    def drop(self, key: str) -> None:
        """Forgets an upload that did not come whole."""
        with self._lock:
            self._remove(key)

    def sweep(self) -> None:
        """Removes uploads that nobody used of late."""
        with self._lock:
            oldest = self._clock() - KEPT_S
            for key in [key for key, one in self._uploads.items() if one.at < oldest]:
                self._remove(key)

    async def sweeping(self) -> None:
        """Sweeps while nobody asks for anything, until it is cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            await to_thread.run_sync(self.sweep)
            await to_thread.run_sync(remove_old, self.results)

    def forget(self, caller: Caller, ids: Sequence[str] | None) -> None:
        """Runs of a caller's history are about to be deleted (None: all): what of their inputs is here goes, too."""
        history = self._hub.history
        owner = history.owner(caller)
        digests = set[str]()
        for id in ids or ():
            with suppress(HubError):
                digests.update(history.get(owner, id).inputs.values())
        with self._lock:
            for key, one in list(self._uploads.items()):
                same = one.digest in digests and one.owner == _address_owner(caller)
                if same or (one.owner == owner_of(caller) and (ids is None or one.digest in digests)):
                    self._remove(key)
        for folder in self.results.glob("history-*"):
            with suppress(HubError):  # of another's run
                id = folder.name.removeprefix("history-")
                if history.get(owner, id) and (ids is None or id in ids):
                    shutil.rmtree(folder, ignore_errors=True)

    def forget_result(self, id: str) -> None:
        """Removes what pages showed of a result that is deleted."""
        if RESULT.fullmatch(id):
            shutil.rmtree(self.results / id, ignore_errors=True)

    def close(self) -> None:
        """Removes all that lies here, as the hub ends."""
        with self._lock:
            for key in list(self._uploads):
                self._remove(key)
        shutil.rmtree(self.results, ignore_errors=True)

    def _remove(self, key: str) -> None:
        """Needs the lock."""
        if self._uploads.pop(key, None) is not None:
            shutil.rmtree(self.folder / key, ignore_errors=True)


def owner_of(caller: Caller) -> str:
    """Who uploads: a user; a token, which may be many people's, and what else is known; a browser; an address."""
    if caller.name and not caller.name.startswith("token "):
        return f"user {caller.name}"
    who = caller.session or _address_owner(caller)
    return f"{caller.name} {who}" if caller.name else who


def _address_owner(caller: Caller) -> str:
    """The owner of what comes with neither a user's name nor a browser's cookie: the address."""
    return f"{caller.name} address {network(caller.address)}".lstrip()


def file_name(name: str) -> str:
    """A name for a file that keeps what an upload was called as far as that is safe."""
    safe = "".join(one for one in name.replace("\\", "/").rpartition("/")[2] if one.isalnum() or one in "._- ")
    safe = safe.strip(". ").encode("utf-8", "ignore")[-100:].decode("utf-8", "ignore")
    return safe or "upload"
