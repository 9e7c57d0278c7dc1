"""Uploads a folder of weights as a Hub repository: card, config, safetensors and the recipe they were made with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.errors import InputError, UnavailableError
from hub.files import read_text
from hub.weights import formats, lock, remote
from hub.weights.sources import HubSource, parse_repository

CARD = "README.md"
LOCAL_DIR = re.compile(r"local-dir:[\w./-]*")
NEEDED = ("license", "library_name", "pipeline_tag")
_LIBRARIES = {"architecture": "timm", "_model_class": "segmentation-models-pytorch", "id2label": "transformers"}


@dataclass(frozen=True, slots=True)
class PublishPlan:
    """What an upload would do: the repository, its files by path with their content, figures of the card."""

    source: HubSource
    private: bool
    files: Mapping[str, bytes | Path]
    licence: str
    metrics: tuple[str, ...]

    def size(self, name: str) -> int:
        content = self.files[name]
        return len(content) if isinstance(content, bytes) else content.stat().st_size


def plan(folder: Path, repo: str, *, private: bool = False) -> PublishPlan:
    """Checks the folder and its card, and says what an upload would do. Touches no network. Raises HubError."""
    source = parse_repository(repo)
    if source.revision != "main" or source.folder:
        raise InputError("--repo wants owner/name, got {repo!r}: uploads go to the main branch.", repo=repo)
    model_files = formats.files_of(folder, repr(folder.name))
    _check_tensors(model_files, folder)
    data, card = _card(folder)
    config = formats.config_of(folder, repr(folder.name))
    library = next((library for key, library in _LIBRARIES.items() if key in config), "")
    if library and data["library_name"] != library:
        raise InputError(
            "{path}: library_name is {given!r}, but config.json is of {library!r}. Others would not find out how to "
            "load the model.",
            path=folder / CARD,
            given=data["library_name"],
            library=library,
        )
    # On the Hub the example in the card loads from the Hub.
    card = LOCAL_DIR.sub(lambda match: _on_the_hub(match[0], folder.name, source), card)
    recipes = [f for f in sorted(folder.glob("*.py")) if f.name != "__init__.py"]
    files: dict[str, bytes | Path] = {CARD: card.encode(), **model_files, **{f.name: f for f in recipes}}
    return PublishPlan(source, private, files, _licence(data), _metrics(folder, data))


def upload(planned: PublishPlan, message: str = "") -> str:
    """Makes the repository if it is not there, uploads in one commit, and compares what arrived. Returns its commit.

    Raises UnavailableError.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api, repo = HfApi(library_name="demo-hub"), planned.source.repo
    with remote.client_errors(planned.source):
        if not api.token and not _token():
            raise UnavailableError(
                "Uploading needs a token that may write: sign in with `hf auth login`, or set HF_TOKEN."
            )
        try:
            api.create_repo(repo, private=planned.private, exist_ok=True)
            operations = [
                CommitOperationAdd(name, content if isinstance(content, bytes) else str(content))
                for name, content in planned.files.items()
            ]
            commit_info = api.create_commit(
                repo, operations, commit_message=message or f"Upload {repo.partition('/')[2]}"
            )
        except (RuntimeError, ValueError) as error:  # how the client tells that a large file did not arrive
            cause = remote.redacted_brief(error.__cause__ or error).rstrip(".")
            raise UnavailableError(
                "{address} could not be uploaded: {cause}. Try again.", address=planned.source.address, cause=cause
            ) from None
    commit = str(commit_info.oid)
    _compare(planned, commit)
    return commit


def _token() -> bool:
    from huggingface_hub import get_token

    return bool(get_token())


def _compare(planned: PublishPlan, commit: str) -> None:
    """The Hub's own word for each file against what was meant to go there."""
    there = {file.path: file for file in remote.listing(planned.source, commit).files}
    for name, content in planned.files.items():
        size = planned.size(name)
        remote_file = there.get(name)
        wrong = remote_file is None or remote_file.size != size
        if remote_file is not None and remote_file.sha256 and isinstance(content, Path):
            wrong = wrong or remote_file.sha256 != lock.sha256(content)
        if wrong:
            raise UnavailableError(
                "{address}: {name} did not arrive as it was sent. Publish again; only what differs is uploaded.",
                address=planned.source.address,
                name=name,
            )


# --- checks ---------------------------------------------------------------------------------------


def _check_tensors(model_files: Mapping[str, Path], folder: Path) -> None:
    from safetensors import SafetensorError, safe_open

    for name, path in model_files.items():
        if path.suffix == ".safetensors":
            try:
                with safe_open(path, framework="np") as tensors:
                    tensors.keys()
            except (SafetensorError, OSError) as error:
                raise InputError(
                    "{path} is not a safetensors file: {reason}. Write it anew.", path=folder / name, reason=error
                ) from None


def _on_the_hub(address: str, name: str, source: HubSource) -> str:
    """The address of this model on the Hub; another's as it is."""
    path = address.rstrip("./-")
    ours = path.replace(":", "/").rpartition("/")[2] == name
    return f"hf-hub:{source.repo}{address[len(path) :]}" if ours else address


def _card(folder: Path) -> tuple[dict[str, Any], str]:
    """The card's metadata and its whole text. Raises InputError that names what is missing."""
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    path = folder / CARD
    if not path.is_file():
        raise InputError(
            "{path} is missing: a model without a card cannot be judged. Write what it was trained on.", path=path
        )
    text = read_text(path)
    try:
        data = ModelCard(text).data.to_dict()
    except (ValueError, YAMLError) as error:
        raise InputError("{path}: its YAML metadata is not valid: {reason}", path=path, reason=error) from None
    missing = [key for key in NEEDED if not data.get(key)]
    if missing:
        raise InputError(
            "{path}: its metadata has no {listed}. The Hub lists models by them.",
            path=path,
            listed=" and no ".join(missing),
        )
    return data, text


def _licence(data: Mapping[str, Any]) -> str:
    return str(data.get("license_name") or data["license"])


def _metrics(folder: Path, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The figures of the card's model-index, in words. Raises InputError for one without a value or data set."""
    figures = []
    for model in data.get("model-index") or ():
        for result in model.get("results") or ():
            dataset = (result.get("dataset") or {}).get("name")
            for metric in result.get("metrics") or ():
                name, value = metric.get("name") or metric.get("type"), metric.get("value")
                if not dataset or not name or not isinstance(value, int | float):
                    raise InputError(
                        "{path}: model-index has a metric without name, value or data set: {metric}",
                        path=folder / CARD,
                        metric=metric,
                    )
                figures.append(f"{name} {value:g} on {dataset}")
    return tuple(figures)
