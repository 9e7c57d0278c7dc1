"""Corrected pictures as extra training data: a folder that `python -m hub corrections export` wrote as imagefolder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weights.training import data


def read_rows(folder: Path, page: str) -> list[dict[str, Any]]:
    """The rows of a page, each with the `path` of its picture. Raises SystemExit for a folder that has none."""
    place = next((one for one in (folder / page, folder) if (one / "metadata.jsonl").is_file()), None)
    if place is None:
        raise SystemExit(f"{folder} has no {page}/metadata.jsonl: export corrections with --format imagefolder.")
    lines = (place / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [{**row, "path": place / Path(row["file_name"]).name} for row in map(json.loads, lines)]


def read_classes(folder: Path, page: str, labels: Sequence[str], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pictures and class numbers of the rows whose label is one of `labels`."""
    known = [row for row in read_rows(folder, page) if row.get("label") in labels]
    _check(known, folder, page)
    return data.read_images([row["path"] for row in known], size), torch.tensor(
        [labels.index(row["label"]) for row in known]
    )


def read_tags(folder: Path, page: str, labels: Sequence[str], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pictures and 0 or 1 for each of `labels`, of the rows that have tags of these only."""
    known = [row for row in read_rows(folder, page) if row.get("tags") is not None and {*row["tags"]} <= {*labels}]
    _check(known, folder, page)
    targets = [[float(label in row["tags"]) for label in labels] for row in known]
    return data.read_images([row["path"] for row in known], size), torch.tensor(targets)


def _check(rows: Sequence[Mapping[str, Any]], folder: Path, page: str) -> None:
    if not rows:
        raise SystemExit(f"{folder} has no picture of {page} whose labels this recipe knows.")
