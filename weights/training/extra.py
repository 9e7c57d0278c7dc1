"""Corrected pictures as extra training data: a folder that `python -m hub corrections export` wrote as imagefolder.

Of an export of some size a fifth is not trained with: on those pictures `python -m weights.versus` compares new weights
with old ones.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from weights.training import data

HOLD_BACK_FROM, HOLD_BACK = 20, 5  # pictures: of so many or more, each fifth is held back


def add_option(parser: argparse.ArgumentParser) -> None:
    """Where a recipe finds corrected pictures."""
    parser.add_argument("--extra", type=Path, help="folder of corrected pictures, an imagefolder export")


def read_rows(folder: Path, page: str) -> list[dict[str, Any]]:
    """The rows to train with, each with the `path` of its picture. Raises SystemExit for a folder that has none."""
    return split(read_all(folder, page))[0]


def split(rows: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows to train with, and those that are held back; the same ones each time, whatever is exported beside them."""
    if len(rows) < HOLD_BACK_FROM:
        return [*rows], []
    held = [int(hashlib.sha256(row["id"].encode()).hexdigest()[:8], 16) % HOLD_BACK == 0 for row in rows]
    return [row for row, is_held in zip(rows, held, strict=True) if not is_held], [
        row for row, is_held in zip(rows, held, strict=True) if is_held
    ]


def read_all(folder: Path, page: str) -> list[dict[str, Any]]:
    """Every row of a page. Raises SystemExit for a folder that has none."""
    place = next((one for one in (folder / page, folder) if (one / "metadata.jsonl").is_file()), None)
    if place is None:
        raise SystemExit(f"{folder} has no {page}/metadata.jsonl: export corrections with --format imagefolder.")
    lines = (place / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    return [{**row, "path": place / Path(row["file_name"]).name} for row in map(json.loads, lines)]


def read_classes(folder: Path, page: str, labels: Sequence[str], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pictures and class numbers of the rows whose label is one of `labels`."""
    known = [row for row in read_rows(folder, page) if row.get("label") in labels]
    check(known, folder, page)
    return data.read_images([row["path"] for row in known], size), torch.tensor(
        [labels.index(row["label"]) for row in known]
    )


def read_tags(folder: Path, page: str, labels: Sequence[str], size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pictures and 0 or 1 for each of `labels`, of the rows that have tags of these only."""
    known = [row for row in read_rows(folder, page) if row.get("tags") is not None and {*row["tags"]} <= {*labels}]
    check(known, folder, page)
    targets = [[float(label in row["tags"]) for label in labels] for row in known]
    return data.read_images([row["path"] for row in known], size), torch.tensor(targets)


def check(rows: Sequence[object], folder: Path, page: str) -> None:
    """Raises SystemExit where there is nothing to train with."""
    if not rows:
        raise SystemExit(f"{folder} has no picture of {page} that says what this recipe learns.")
