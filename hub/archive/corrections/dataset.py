"""Corrections as a dataset: pictures with what is true of them, in the forms that others read, and a card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub.archive.corrections.parts import Part
from hub.archive.corrections.store import Correction, CorrectionStore, Wanted
from hub.errors import InputError
from hub.results.result import Picture
from hub.texts import sentence

FORMATS = ("imagefolder", "jsonl", "coco", "parquet")
METADATA, ROWS, COCO, TABLE, IMAGES = "metadata.jsonl", "data.jsonl", "annotations.json", "train.parquet", "images"
GROUP_BYTES, GROUP_ROWS = 32 * 2**20, 1000  # of pictures that are in memory at once, to be written together
# What a column is called by what it holds; a second one of a kind has the output's name too.
NAMES = {
    "class": "label", "tags": "tags", "number": "number", "numbers": "numbers", "points": "points",
    "boxes": "objects", "text": "text",
}  # fmt: skip
CARD = """---
license: other
pretty_name: Corrections of a Demo Hub
configs:
{configs}
---
# Corrections of a Demo Hub

What people said is true of pictures that the models of a hub had answered. Each row has the picture, what is true
(`label`, `tags`, `number`, `numbers`, `points` or `objects`, in pixels of the picture), what was answered (`answer`,
JSON by output), the `verdict` on it, and the `weights` that had answered, with their sha256 (`digest`).

| Page | Rows | Answers that were right |
|---|---:|---:|
{table}

People let their pictures be kept to improve the models. Who they are is not in here.

    datasets.load_dataset("FOLDER or owner/name", "{first}", split="train")
"""


@dataclass(slots=True)
class Export:
    """What was written: rows by page; and how many were left out, as they say no truth or have no picture."""

    pages: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: int = 0


def export(store: CorrectionStore, out: Path, form: str, page: str = "") -> Export:
    """Writes a new folder. Raises InputError where there is nothing to write or the folder is not empty, OSError."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("{out} is not empty. Name a new folder.", out=out)
    done, write = Export(), WRITERS[form]
    for correction in last_words(store, page):
        row = row_of(correction)
        if row is None or (not correction.pictures and form != "jsonl"):
            done.left_out += 1
            continue
        picture = store.picture(correction.id, correction.pictures[0]) if correction.pictures else None
        folder = out / correction.page
        if picture is not None:
            row = _scaled(row, correction, picture)
            if form != "parquet":
                name = (f"{IMAGES}/" if form == "jsonl" else "") + f"{correction.id}.{picture.extension}"
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(picture.data)
                row = {"file_name": name, **row}
            else:  # its bytes come when the file is written
                row = {"image": {"bytes": None, "path": f"{correction.id}.{picture.extension}"}, **row}
            row |= {"width": picture.width, "height": picture.height}
        done.pages.setdefault(correction.page, []).append(row)
    if not done.pages:
        raise InputError(
            "There is nothing to export: {why}", why=sentence("no correction says what is right, with a picture.")
        )
    for slug, rows in done.pages.items():
        (out / slug).mkdir(parents=True, exist_ok=True)
        write(out / slug, _even(rows), store)
    (out / "README.md").write_text(card(done, form), encoding="utf-8")
    return done


def last_words(store: CorrectionStore, page: str = "") -> list[Correction]:
    """Of each answer what was said last."""
    last = {one.target: one for one in store.all(Wanted(page=page)) if one.verdict}
    return [*last.values()]


def row_of(correction: Correction) -> dict[str, Any] | None:
    """What is true, and what was answered; None where nothing is known to be true."""
    truths = {part.name: correction.truth(part) for part in correction.parts}
    if all(truth is None for truth in truths.values()):
        return None
    columns = dict[str, Any]()
    for part in correction.parts:
        name = NAMES[part.kind]
        columns[name if name not in columns else f"{name}_{part.name}"] = _column(part, truths[part.name])
    answer = {part.name: part.answer for part in correction.parts}
    return {
        **columns,
        "verdict": correction.verdict,
        "answer": json.dumps(answer, ensure_ascii=False),
        "note": correction.note,
        "page": correction.page,
        "weights": correction.weights,
        "digest": correction.digest,
        "created_at": datetime.fromtimestamp(correction.created, UTC).isoformat(timespec="seconds"),
        "id": correction.id,
    }


def _column(part: Part, truth: Any) -> Any:
    """A truth in a form of which each row has the same fields."""
    if truth is None:
        return None
    if part.kind in ("number", "numbers"):
        return float(truth) if part.kind == "number" else [None if one is None else float(one) for one in truth]
    if part.kind == "points":
        at = [(None, None) if point is None else (float(point[0]), float(point[1])) for point in truth.values()]
        return {"name": [*truth], "x": [x for x, _ in at], "y": [y for _, y in at]}
    if part.kind == "boxes":
        boxes = [[box["x0"], box["y0"], box["x1"] - box["x0"], box["y1"] - box["y0"]] for box in truth]
        return {
            "bbox": [[round(float(side), 2) for side in box] for box in boxes],
            "category": [b["label"] for b in truth],
        }
    return truth


def _scaled(row: dict[str, Any], correction: Correction, picture: Picture) -> dict[str, Any]:
    """Points and boxes in the pixels of the picture as it is kept, which may be smaller than it was."""
    if not correction.width or (correction.width, correction.height) == (picture.width, picture.height):
        return row
    x, y = picture.width / correction.width, picture.height / correction.height

    def scale(value: Any) -> Any:
        if isinstance(value, dict) and "bbox" in value:
            return {**value, "bbox": [[a * x, b * y, w * x, h * y] for a, b, w, h in value["bbox"]]}
        if isinstance(value, dict) and "x" in value:
            at = {"x": (value["x"], x), "y": (value["y"], y)}
            return {**value, **{n: [None if one is None else one * by for one in many] for n, (many, by) in at.items()}}
        return value

    return {name: scale(value) for name, value in row.items()}


def _even(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with the same columns each."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


# --- writing --------------------------------------------------------------------------------------


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _imagefolder(folder: Path, rows: list[dict[str, Any]], store: CorrectionStore) -> None:
    _write_lines(folder / METADATA, rows)


def _jsonl(folder: Path, rows: list[dict[str, Any]], store: CorrectionStore) -> None:
    _write_lines(folder / ROWS, rows)


def _coco(folder: Path, rows: list[dict[str, Any]], store: CorrectionStore) -> None:
    """Also as imagefolder: what reads that finds the boxes as objects."""
    _imagefolder(folder, rows, store)
    labels = sorted({name for row in rows for name in (row.get("objects") or {}).get("category", ())})
    ids, annotations = {name: number for number, name in enumerate(labels, 1)}, list[dict[str, Any]]()
    images = [
        {"id": number, "file_name": row["file_name"], "width": row["width"], "height": row["height"]}
        for number, row in enumerate(rows, 1)
    ]
    for number, row in enumerate(rows, 1):
        for extra in _annotations(row, ids):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "iscrowd": 0, **extra})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    points = next((row["points"]["name"] for row in rows if row.get("points")), None)
    categories += [{"id": len(ids) + 1, "name": "points", "keypoints": points}] if points else []
    document = {"images": images, "annotations": annotations, "categories": categories}
    (folder / COCO).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def _annotations(row: Mapping[str, Any], ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    found = row.get("objects") or {"bbox": [], "category": []}
    for box, name in zip(found["bbox"], found["category"], strict=True):
        yield {"category_id": ids[name], "bbox": box, "area": round(box[2] * box[3], 2)}
    if points := row.get("points"):
        at = [(x, y) for x, y in zip(points["x"], points["y"], strict=True) if x is not None]
        flat = [
            n for x, y in zip(points["x"], points["y"], strict=True) for n in ((0, 0, 0) if x is None else (x, y, 2))
        ]
        left, top = min((x for x, _ in at), default=0), min((y for _, y in at), default=0)
        width, height = max((x for x, _ in at), default=0) - left, max((y for _, y in at), default=0) - top
        yield {
            "category_id": len(ids) + 1, "keypoints": flat, "num_keypoints": len(at),
            "bbox": [left, top, width, height], "area": width * height,
        }  # fmt: skip


def _parquet(folder: Path, rows: list[dict[str, Any]], store: CorrectionStore) -> None:
    """In groups of rows, so that few pictures are in memory at once, however many there are."""
    import pyarrow  # type: ignore[import-untyped]  # it has no types of its own
    from pyarrow import parquet

    rest = pyarrow.Table.from_pylist([{n: v for n, v in row.items() if n != "image"} for row in rows]).schema
    picture = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    # By this `datasets` knows that the bytes are a picture.
    types = {"image": {"_type": "Image"}} | {name: _feature(rest.field(name).type) for name in rest.names}
    features = {"huggingface": json.dumps({"info": {"features": types}})}
    schema = pyarrow.schema([pyarrow.field("image", picture), *rest], metadata=features)
    with parquet.ParquetWriter(folder / TABLE, schema) as writer:
        for group in _groups(rows, store):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _groups(rows: Iterable[dict[str, Any]], store: CorrectionStore) -> Iterator[list[dict[str, Any]]]:
    """Rows with their pictures, a few at a time."""
    group, size = list[dict[str, Any]](), 0
    for row in rows:
        data = store.picture(row["id"], store.get(row["id"]).pictures[0]).data
        if group and (size + len(data) > GROUP_BYTES or len(group) >= GROUP_ROWS):
            yield group
            group, size = [], 0
        group.append({**row, "image": {**row["image"], "bytes": data}})
        size += len(data)
    yield group


def _feature(kind: Any) -> Any:
    """An Arrow type as `datasets` calls it."""
    from pyarrow import types

    if types.is_struct(kind):
        return {kind.field(number).name: _feature(kind.field(number).type) for number in range(kind.num_fields)}
    if types.is_list(kind):
        return {"_type": "List", "feature": _feature(kind.value_type)}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}


WRITERS: Mapping[str, Callable[[Path, list[dict[str, Any]], CorrectionStore], None]] = {
    "imagefolder": _imagefolder, "jsonl": _jsonl, "coco": _coco, "parquet": _parquet,
}  # fmt: skip


def card(done: Export, form: str) -> str:
    """What the dataset is, for people and for `datasets`: a configuration for each page."""
    configs, table = list[str](), list[str]()
    for slug, rows in done.pages.items():
        file = {"jsonl": ROWS, "parquet": TABLE}.get(form)
        place = f"  data_files: {slug}/{file}" if file else f"  data_dir: {slug}"
        configs += [f"- config_name: {slug}", place]
        right = sum(row["verdict"] == "right" for row in rows)
        table.append(f"| {slug} | {len(rows)} | {right} |")
    return CARD.format(configs="\n".join(configs), table="\n".join(table), first=next(iter(done.pages)))
