"""The only code that talks to the Hub: resolves a repository to a commit, downloads files, tells errors for people.

It uses the huggingface_hub client, which brings the endpoint, the token, proxies, redirects, waiting after 429 and
going on after a cut connection.
"""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from hub.errors import UnavailableError
from hub.weights import formats, lock
from hub.weights.sources import HubSource

log = logging.getLogger(__name__)

ATTEMPTS = 4
LONGEST_WAIT_S = 30.0  # a Hub that asks for more patience than this is told to the user at once
TIMEOUT_S = 10.0
LORA, LORA_FILE = "lora", "pytorch_lora_weights.safetensors"  # the folder of a LoRA's file; what it is usually called
T = TypeVar("T")
_TOKEN = re.compile(r"\bhf_\w{6,}|(?<=Bearer )\S+")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a commit. Large files have their sha256 on the Hub; small ones git's blob id."""

    path: str
    size: int
    sha256: str
    blob_id: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A commit and all its files; what the Hub says that the model is for; whether its owner lets in who asks."""

    commit: str
    files: tuple[RemoteFile, ...]
    task: str = ""
    gated: bool = False


def listing(source: HubSource, commit: str = "", *, hasty: bool = False) -> Listing:
    """What the repository holds at its revision now, or at `commit`. Raises UnavailableError.

    `hasty`: asks once and does not wait long, for who has a copy to work with. With a LoRA both commits are told, with
    a plus between them, and its file is one more in the folder LORA.
    """
    if source.lora is not None:
        return _with_lora(source, source.lora, commit, hasty)
    from huggingface_hub import HfApi

    with client_errors(source):
        info = patiently(
            lambda: HfApi().model_info(
                source.repo, revision=commit or source.revision, files_metadata=True, timeout=3 if hasty else TIMEOUT_S
            ),
            attempts=1 if hasty else ATTEMPTS,
        )
    files = tuple(
        RemoteFile(f.rfilename, f.size or 0, f.lfs.sha256 if f.lfs else "", f.blob_id or "")
        for f in info.siblings or ()
    )
    return Listing(str(info.sha), files, info.pipeline_tag or "", bool(info.gated))


def _with_lora(source: HubSource, lora: HubSource, commit: str, hasty: bool) -> Listing:
    base_commit, _, lora_commit = commit.partition("+")
    base = listing(replace(source, lora=None), base_commit, hasty=hasty)
    if not any(file.path == "model_index.json" for file in base.files):
        raise UnavailableError("{repo} is no pipeline of diffusers, to which a LoRA could be added.", repo=source.repo)
    added = listing(lora, lora_commit, hasty=hasty)
    file = _lora_file(lora, added)
    files = [one for one in base.files if not one.path.startswith(f"{LORA}/")]
    file = replace(file, path=f"{LORA}/{file.path}")
    return replace(base, commit=f"{base.commit}+{added.commit}", files=(*files, file), gated=base.gated or added.gated)


def _lora_file(lora: HubSource, added: Listing) -> RemoteFile:
    """The one file of a LoRA: that which is named, or the usual one, or the only one. Raises UnavailableError."""
    within = lora.folder
    inside = [one for one in added.files if not within or one.path == within or one.path.startswith(f"{within}/")]
    tensors = [file for file in inside if file.path.endswith(".safetensors")]
    usual = [file for file in tensors if file.path.rpartition("/")[2] == LORA_FILE]
    named = [file for file in tensors if file.path == lora.folder]
    for found in (named, usual, tensors):
        if len(found) == 1:
            lock.check_path(found[0].path, lora.address)
            return found[0]
    if not tensors:
        raise UnavailableError(formats.why_none(lora.address, [file.path for file in inside]))
    raise UnavailableError(
        "{address} has several files ({listed}). Name one: {address}/{first}",
        address=lora.address,
        listed=", ".join(file.path for file in tensors[:4]),
        first=tensors[0].path,
    )


def _place_of(source: HubSource, commit: str, path: str) -> tuple[HubSource, str, str]:
    """Where a file is fetched: the repository, the commit, and its path there."""
    base_commit, _, lora_commit = commit.partition("+")
    if source.lora is not None and path.startswith(f"{LORA}/"):
        return source.lora, lora_commit, path.removeprefix(f"{LORA}/")
    return replace(source, lora=None), base_commit, path


def download(source: HubSource, commit: str, file: RemoteFile, to: Path, on_bytes: Callable[[int], None]) -> str:
    """Fetches one file and returns its sha256. A part that is there already is gone on with.

    `on_bytes` gets the number of bytes this file has so far. Raises UnavailableError.
    """
    part = to.with_name(f"{to.name}.part")
    source, commit, path = _place_of(source, commit, file.path)
    url = f"{_endpoint()}/{source.repo}/resolve/{quote(commit, safe='')}/{quote(path)}"
    with client_errors(source, file.path):
        to.parent.mkdir(parents=True, exist_ok=True)
        patiently(lambda: _fetch(url, part, file.size, on_bytes))
        digest = lock.sha256(part)
        if not is_right(part, digest, file):
            part.unlink()
            expected = file.sha256[:12] or f"git blob {file.blob_id[:12]}"
            raise UnavailableError(
                "{address}: what came for {path} is not that file: sha256 {found}, expected {expected}. It was "
                "thrown away. Try again; if it stays so, something on the way changes files.",
                address=source.address,
                path=file.path,
                found=digest[:12],
                expected=expected,
            )
        part.replace(to)
    return digest


def from_cache(source: HubSource, commit: str, file: RemoteFile, to: Path) -> str:
    """Copies a file that other programs fetched into the cache they share; its sha256, or empty: it is not there."""
    from huggingface_hub import try_to_load_from_cache

    source, commit, path = _place_of(source, commit, file.path)
    with client_errors(source, file.path):
        cached = try_to_load_from_cache(source.repo, path, revision=commit)
        if not isinstance(cached, str):
            return ""
        part = to.with_name(f"{to.name}.part")
        to.parent.mkdir(parents=True, exist_ok=True)
        try:
            digest = lock.sha256(Path(cached))
            shutil.copyfile(cached, part)
        except OSError:
            return ""  # not readable for us: then it is downloaded, which tells a full disk from a rotten cache
        if not is_right(part, lock.sha256(part), file):
            part.unlink()
            return ""
        part.replace(to)
    return digest


def _fetch(url: str, part: Path, size: int, on_bytes: Callable[[int], None]) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    start = part.stat().st_size if part.is_file() else 0
    if start > size:
        part.unlink()
        start = 0
    meter = _meter(on_bytes, start)
    with part.open("ab") as stream:
        # Compressed answers have no ranges: a cut one could not be gone on with.
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        http_get(url, stream, resume_size=start, headers=headers, expected_size=size, tqdm_class=meter)


def is_right(path: Path, digest: str, file: RemoteFile) -> bool:
    if file.sha256:
        return digest == file.sha256
    data = path.read_bytes()  # kept in git, so it is small
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest() == file.blob_id


def _meter(on_bytes: Callable[[int], None], start: int) -> Any:
    """What http_get reports to: counts bytes instead of drawing a bar."""

    class ByteMeter:
        def __init__(self, *_: Any, initial: int = 0, **__: Any):
            self.bytes = initial or start

        def __enter__(self) -> ByteMeter:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, bytes: int) -> None:
            self.bytes += bytes
            on_bytes(self.bytes)

    return ByteMeter


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


# --- patience and errors --------------------------------------------------------------------------


def patiently(call: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """`call()` again after errors that pass: no answer, a cut, 429, 5xx."""
    from httpx2 import NetworkError, RemoteProtocolError, TimeoutException
    from huggingface_hub.errors import HfHubHTTPError

    for attempt in range(1, attempts + 1):
        try:
            return call()
        except (HfHubHTTPError, NetworkError, RemoteProtocolError, TimeoutException, OSError) as error:
            wait_s = _wait_s(error, attempt)
            if wait_s is None or attempt == attempts:
                raise
            log.warning("the Hub did not answer (%s); trying again in %.0f s", redacted_brief(error), wait_s)
            time.sleep(wait_s)
    raise AssertionError("unreachable")


def _wait_s(error: Exception, attempt: int) -> float | None:
    """Seconds until another try makes sense; None when it makes none."""
    from httpx2 import ConnectError

    response = getattr(error, "response", None)
    if isinstance(error, ConnectError) and attempt > 1:
        return None  # nothing answered twice: there is no network, and waiting would not help
    if isinstance(error, OSError) and error.errno is not None:
        return None  # the disk, which a retry does not mend; without a number it is the client's error for a cut answer
    if response is None:
        return float(attempt)
    if response.status_code == 429 or response.status_code >= 500:
        retry_after = response.headers.get("Retry-After", "")
        wait_s = float(retry_after) if retry_after.isdigit() else 2.0 ** (attempt - 1)
        return wait_s if wait_s <= LONGEST_WAIT_S else None
    return None


@contextmanager
def client_errors(source: HubSource, file: str = "") -> Iterator[None]:
    """Turns what the client raises into an UnavailableError that says what to do."""
    from httpx2 import HTTPError
    from huggingface_hub import errors

    what = f"{source.address}: {file}" if file else source.address
    try:
        yield
    except errors.GatedRepoError:
        raise UnavailableError(
            "{repo} is gated: its owner asks you to accept terms. Open {endpoint}/{repo}, accept them, then sign "
            "in with `hf auth login` or set HF_TOKEN, and try again.",
            repo=source.repo,
            endpoint=_endpoint(),
        ) from None
    except errors.RevisionNotFoundError:
        raise UnavailableError(
            "{repo} has no revision {revision!r}, or its commit was removed. Choose another with "
            "hf://{repo}@REVISION; if it was locked: python -m hub lock",
            repo=source.repo,
            revision=source.revision,
        ) from None
    except errors.RepositoryNotFoundError:
        raise RepositoryGoneError(
            "There is no repository {repo} on the Hub that can be seen from here: it was removed, or it is "
            "private and you are not signed in (`hf auth login` or HF_TOKEN).",
            repo=source.repo,
        ) from None
    except errors.RemoteEntryNotFoundError:
        raise UnavailableError("{what} is not in the repository. Check the address.", what=what) from None
    except errors.DisabledRepoError:
        raise RepositoryGoneError("The Hub has disabled {repo}; its page says why.", repo=source.repo) from None
    except errors.OfflineModeIsEnabled:
        raise UnavailableError(
            "{what} is not on this machine, and it is offline (HF_HUB_OFFLINE is set).", what=what
        ) from None
    except (errors.HfHubHTTPError, HTTPError) as error:
        raise UnreachableError(
            "{what}: the Hub at {endpoint} {trouble}", what=what, endpoint=_endpoint(), trouble=_trouble(error)
        ) from None
    except OSError as error:
        raise UnavailableError("{what} cannot be kept: {reason}", what=what, reason=disk_trouble(error)) from None


class RepositoryGoneError(UnavailableError):
    """The repository is no longer there, or not for this caller."""


class UnreachableError(UnavailableError):
    """The Hub did not answer, or not in a useful way."""


def _trouble(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is None:
        return f"cannot be reached ({redacted_brief(error)}). Check the network, or work from copies with --offline."
    if response.status_code == 429:
        retry_after = response.headers.get("Retry-After")
        wait = f"; it asks to wait {retry_after} s" if retry_after else ""
        return f"takes no more requests for now{wait}. Try again later."
    if response.status_code in (401, 403):
        return "refused the token. Sign in anew with `hf auth login`, or check HF_TOKEN and what it may do."
    return f"answered {response.status_code}. Try again later."


def disk_trouble(error: OSError) -> str:
    """For people: a full disk and a folder that cannot be written need different things."""
    import errno

    where = f" ({error.filename})" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full{where}. Make room, or choose another place with --hub-folder, and try again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"the folder cannot be written{where}. Choose another with --hub-folder, or mend its permissions."
    return f"{redact(str(error.strerror or error))}{where}. Try again."


def redacted_brief(error: BaseException, limit: int = 160) -> str:
    """Kind and first line of an error, without tokens."""
    text = redact(f"{type(error).__name__}: {error}".strip().split("\n", 1)[0].rstrip(": "))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def redact(text: str) -> str:
    """Text in which no token can be read."""
    return _TOKEN.sub("[token]", text)
