"""One line of a grid's manifest, checked when it is read: a damaged one costs its own pictures alone."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

LINE_BYTES = 4 * 2**20  # no line of ours has more
FILE = re.compile(r"pictures/[0-9a-f]{2}/[0-9a-f]{32}(-\d+)?\.png")  # within the grid's folder, and nowhere else


class CellPicture(BaseModel):
    model_config = ConfigDict(strict=True)

    file: Annotated[str, Field(pattern=f"^{FILE.pattern}$")]
    width: Annotated[int, Field(ge=0, le=2**20)]
    height: Annotated[int, Field(ge=0, le=2**20)]
    caption: str


class DrawnCell(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    cell: str
    page: str
    prompt: str
    subject: str
    style: str
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    weights: str
    digest: str
    created_at: str
    parameters: dict[str, Any]
    pictures: list[CellPicture]

    @property
    def created(self) -> float:
        return datetime.fromisoformat(self.created_at).timestamp()


def read_cell(line: bytes) -> DrawnCell | None:
    """None for a line that is damaged."""
    if len(line) > LINE_BYTES:
        return None
    try:
        cell = DrawnCell.model_validate_json(line)
        return cell if cell.created else None
    except (ValidationError, ValueError, OverflowError):
        return None
