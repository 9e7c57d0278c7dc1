"""Uploads an exported Space: makes it if it is not there, one commit, and compares what arrived."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from hub.errors import InputError, UnavailableError
from hub.spaces import export
from hub.spaces.export import MANIFEST, SpacePlan
from hub.weights import remote
from hub.weights.sources import HubSource, parse_repository

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

BLANK = {".gitattributes", "README.md"}  # what a new Space has


def parse(repo: str) -> HubSource:
    """`owner/name`. Raises InputError."""
    source = parse_repository(repo)
    if source.revision != "main" or source.folder:
        raise InputError("--push wants owner/name, got {repo!r}: Spaces run what is on their main branch.", repo=repo)
    return source


def push(planned: SpacePlan, out: Path, source: HubSource, *, private: bool) -> str:
    """Uploads `out`, which holds what was planned; removes what an earlier export left there. Returns the commit.

    Raises InputError for a Space that is none of ours, UnavailableError.
    """
    from huggingface_hub import HfApi, get_token

    api, repo = HfApi(library_name="demo-hub"), source.repo
    with remote.client_errors(source):
        if not get_token():
            raise UnavailableError(
                "Uploading needs a token that may write: sign in with `hf auth login`, or set HF_TOKEN."
            )
        there: set[str] = set()
        if api.repo_exists(repo, repo_type="space"):
            there = set(api.list_repo_files(repo, repo_type="space"))
        before = _before(repo, there)
        sdk = "docker" if planned.options.docker else "gradio"
        api.create_repo(repo, repo_type="space", space_sdk=sdk, private=private, exist_ok=True)
        try:
            commit = api.upload_folder(
                repo_id=repo,
                repo_type="space",
                folder_path=out,
                allow_patterns=list(planned.files),
                delete_patterns=sorted(there & before - planned.files.keys()) or None,
                commit_message="Export from the Demo Hub",
            )
        except (RuntimeError, ValueError) as error:  # how the client tells that a large file did not arrive
            cause = remote.redacted_brief(error.__cause__ or error).rstrip(".")
            raise UnavailableError(
                "The Space {repo} could not be uploaded: {cause}. Try again.", repo=repo, cause=cause
            ) from None
        _compare(api, planned, repo, str(commit.oid))
    return str(commit.oid)


def _before(repo: str, there: set[str]) -> set[str]:
    """What an earlier export put there. Raises InputError for a Space of something else."""
    from huggingface_hub import hf_hub_download

    if MANIFEST in there:
        path = hf_hub_download(repo, MANIFEST, repo_type="space")  # what is there now is meant  # nosec B615
        return export.paths_in(Path(path).read_text(encoding="utf-8"))
    if there - BLANK:
        raise InputError(
            "The Space {repo} holds something else ({count} files, no {manifest}). Nothing was sent. Name another.",
            repo=repo,
            count=len(there - BLANK),
            manifest=MANIFEST,
        )
    return set()


def _is_same(file: RepoFile, content: bytes | Path) -> bool:
    if file.lfs:
        return bool(file.lfs.sha256 == export.digest(content))
    data = content if isinstance(content, bytes) else content.read_bytes()
    # Git's name of a file.
    return bool(file.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest())


def _compare(api: HfApi, planned: SpacePlan, repo: str, commit: str) -> None:
    """The Hub's own word for each file against what was meant to go there."""
    from huggingface_hub.hf_api import RepoFile

    tree = api.list_repo_tree(repo, repo_type="space", revision=commit, recursive=True)
    there = {file.path: file for file in tree if isinstance(file, RepoFile)}
    for path, content in planned.files.items():
        remote_file = there.get(path)
        if remote_file is None or not _is_same(remote_file, content):
            raise UnavailableError(
                "The Space {repo}: {path} did not arrive as it was sent. Push again; only what differs is uploaded.",
                repo=repo,
                path=path,
            )
