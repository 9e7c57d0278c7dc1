"""Uploads an exported dataset to the Hugging Face Hub, private unless somebody wants it otherwise."""

from __future__ import annotations

from pathlib import Path

from hub.errors import InputError, UnavailableError
from hub.weights import remote
from hub.weights.sources import parse_repository


def push(folder: Path, repo: str, *, public: bool = False) -> str:
    """In one commit, whose id is returned. Raises InputError, UnavailableError."""
    from huggingface_hub import HfApi, get_token

    source = parse_repository(repo)
    if source.revision != "main" or source.folder:
        raise InputError("--push wants owner/name, got {repo!r}.", repo=repo)
    with remote.client_errors(source):
        if not get_token():
            raise UnavailableError(
                "Uploading needs a token that may write: sign in with `hf auth login`, or set HF_TOKEN."
            )
        api = HfApi(library_name="demo-hub")
        try:
            api.create_repo(source.repo, repo_type="dataset", private=not public, exist_ok=True)
            commit = api.upload_folder(
                repo_id=source.repo, repo_type="dataset", folder_path=folder,
                commit_message="Corrections from the Demo Hub",
            )  # fmt: skip
        except (RuntimeError, ValueError) as error:  # how the client tells that a large file did not arrive
            cause = remote.redacted_brief(error.__cause__ or error).rstrip(".")
            raise UnavailableError(
                "The dataset {repo} could not be uploaded: {cause}. Try again.", repo=source.repo, cause=cause
            ) from None
    return str(commit.oid)
