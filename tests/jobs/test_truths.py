"""Many pictures with true masks or true points beside them: how near the answers are."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub.decoding.decode import decode_ids
from hub.errors import InputError, UnsupportedMediaError
from hub.hub import Hub
from hub.jobs import given
from hub.spec import ImageOutput, Json
from tests.fakes import boxes_demo, shade_demo, wait_until
from tests.web.api.test_jobs import zipped
from tests.web.doors import app_of

SIDE = 32


def half(left: int, mode: str = "L", size: tuple[int, int] = (SIDE, SIDE), kind: str = "PNG") -> bytes:
    """White, and in the `left` columns black; as a mask: classes 1 and 0."""
    ids = np.full(size[::-1], 255 if mode == "RGB" else 1, np.uint8)
    ids[:, : left * size[0] // SIDE] = 0
    file = io.BytesIO()
    image = Image.fromarray(ids)
    if mode == "P":
        image = Image.fromarray(ids, "L").convert("P")
        image.putdata(ids.ravel().tolist())
        image.putpalette([200, 0, 0, 0, 200, 0])
    (image.convert("RGB") if mode == "RGB" else image).save(file, kind)
    return file.getvalue()


def photo(left: int) -> bytes:
    return half(left, "RGB")


def found_points(output: Any, image: Any, level: float) -> dict[str, Any]:
    """Where the brightest pixel of the picture is, and a place 3 px right and 4 px below; none in black ones."""
    grey = np.asarray(image.convert("L"))
    y, x = np.unravel_index(grey.argmax(), grey.shape)
    places = (("Index tip", x, y), ("Ring tip", x + 3, y + 4)) if grey.any() else ()
    points = [{"colour": "#ff0000", "point": name, "x_px": float(a), "y_px": float(b)} for name, a, b in places]
    return {"overlay": image, "points": points}


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Iterator[Hub]:
    spots = shade_demo(
        outputs=(ImageOutput("overlay", "Points"), Json("points", "Points", table=True)), present=found_points
    )
    hub = make_hub(shades=shade_demo(), spots=spots, stripes=boxes_demo())
    hub.jobs.start()
    yield hub
    hub.jobs.close()


@pytest.fixture
def client(hub: Hub) -> TestClient:
    return TestClient(app_of(hub))


def summary_of(client: TestClient, page: str, files: dict[str, bytes], query: str = "") -> tuple[Any, list[Any]]:
    """The summary of a batch that has ended, and its rows."""
    answer = client.post(f"/api/v1/demos/{page}/batch{query}", files={"files": ("all.zip", zipped(files))})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    wait_until(lambda: client.get(job["url"]).json()["state"] == "done", "the batch")
    return client.get(job["links"]["summary"]).json(), client.get(job["links"]["rows"]).json()["rows"]


@pytest.mark.parametrize(
    ("picture", "mask", "extra"),
    [
        ("val/{n}.png", "val_masks/{n}.png", {}),
        ("images/{n}.png", "masks/{n}.png", {}),
        ("{n}.png", "{n}_mask.png", {}),
        ("a/{n}.png", "b/true-{n}.png", {"a/labels.csv": b"file,mask\n1.png,b/true-1.png\n2.png,true-2.png\n"}),
    ],
)
def test_true_masks_are_found_by_their_names_and_give_iou_and_accuracy(
    client: TestClient, picture: str, mask: str, extra: dict[str, bytes]
) -> None:
    """Of the first picture all is right; of the second 8 of 32 columns are light and truly dark."""
    files = {picture.format(n=1): photo(16), picture.format(n=2): photo(8)}
    files |= {mask.format(n=1): half(16), mask.format(n=2): half(16)}
    summary, rows = summary_of(client, "shades", files | extra)
    score = summary["score"]
    assert score["pictures"] == len(rows) == 2, "masks are no pictures"
    figures = {one["name"]: one["value"] for one in score["figures"]}
    # Columns of both: dark 16 + 8 of 32 right and 8 missed; light 32 right and 8 wrongly so.
    assert figures["pixel_accuracy"] == pytest.approx(56 / 64)
    assert figures["mean_iou"] == pytest.approx((24 / 32 + 32 / 40) / 2, abs=1e-5)
    counts = dict(zip(score["classes"], score["confusion"], strict=True))
    assert counts == {"0": [24 * SIDE, 0, 8 * SIDE], "1": [32 * SIDE, 8 * SIDE, 0]}
    assert [row["numbers"]["pixel accuracy"] for row in rows] == [1.0, 0.75]


def test_a_mask_of_another_shape_or_kind_is_told_in_its_row_and_the_answer_stays(client: TestClient) -> None:
    files = {f"images/{n}.png": photo(16) for n in range(1, 6)}
    files |= {"masks/1.png": half(16), "masks/2.png": half(16, size=(SIDE, 3 * SIDE)), "masks/3.png": b"no picture"}
    files |= {"masks/4.png": half(16, "P", size=(2 * SIDE, 2 * SIDE)), "masks/5.png": half(16, kind="JPEG")}
    summary, rows = summary_of(client, "shades", files)
    assert [row["state"] for row in rows] == ["done"] * 5
    assert [bool(row["problem"]) for row in rows] == [False, True, True, False, True]
    assert "32 x 96" in rows[1]["problem"] and "JPEG" in rows[4]["problem"]
    assert summary["score"]["pictures"] == 2, "the half-size palette mask counts, too"
    assert [figure["value"] for figure in summary["score"]["figures"]] == [1.0, 1.0]


def test_without_truth_masks_are_pictures_as_before(client: TestClient) -> None:
    files = {"images/1.png": photo(16), "masks/1.png": half(16)}
    summary, rows = summary_of(client, "shades", files, "?truth=none")
    assert len(rows) == 2 and summary["score"] is None


def test_true_points_give_distances_in_pixels(client: TestClient) -> None:
    """One picture is 0 and 5 px off, one finds nothing."""
    table = b"image,width,tip_index_x,tip_index_y,tip_ring_x,tip_ring_y\n1.png,32,16,0,16,0\n2.png,32,1,1,51,61\n"
    files = {"1.png": photo(16), "2.png": photo(32), "labels.csv": table}
    summary, rows = summary_of(client, "spots", files)
    figures = {one["name"]: one["value"] for one in summary["score"]["figures"]}
    assert figures["mean_error_px"] == pytest.approx(2.5) and figures["found"] == 0.5
    assert figures["near_points"] == pytest.approx(0.25), "of four points one lies where it should"
    assert rows[0]["measured"]["points"] == {"tip_index": 0.0, "tip_ring": 5.0}
    assert [row["truth"] for row in rows] == ["2 points", "2 points"]


def test_points_that_are_no_numbers_are_refused_before_anything_runs(client: TestClient) -> None:
    for value in ("nan", "inf", "left"):
        table = f"image,tip_x,tip_y\n1.png,{value},1\n".encode()
        answer = client.post(
            "/api/v1/demos/spots/batch",
            files=[("files", ("1.png", photo(4))), ("files", ("labels.csv", table))],
        )
        assert (answer.status_code, answer.json()["field"]) == (422, "files")


def test_true_boxes_give_precision_and_recall(client: TestClient) -> None:
    """Two stripes a picture: of the first one is right, of the second, which has none, both are wrong."""
    table = b"file,label,x0,y0,x1,y1\n1.png,Thin,17,4,28,32\n1.png,round,0,0,2,2\n2.png,,,,,\n"
    answer = client.post(
        "/api/v1/demos/stripes/batch",
        files=[("files", (name, data)) for name, data in
               {"1.png": photo(16), "2.png": photo(8), "labels.csv": table}.items()],
        data={"count": "2"},
    )  # fmt: skip
    job = answer.json()
    wait_until(lambda: client.get(job["url"]).json()["state"] == "done", "the batch")
    score = client.get(job["links"]["summary"]).json()["score"]
    assert {one["name"]: one["value"] for one in score["figures"]} == {"precision": 0.25, "recall": 0.5}
    counts = dict(zip(score["classes"], score["confusion"], strict=True))
    assert (counts.pop("thin"), counts.pop("round")) == ([1, 1, 0], [0, 0, 1]) and [*counts.values()] == [[0, 2, 0]]
    rows = client.get(job["links"]["rows"]).json()["rows"]
    assert [row["numbers"] for row in rows][1] == {"wrong boxes": 2.0, "missed boxes": 0.0}


def test_a_table_of_countless_points_is_refused() -> None:
    head = ",".join(f"p{n}_x,p{n}_y" for n in range(1000))
    with pytest.raises(InputError, match="200 points"):
        given.read_labels(f"file,{head}\n1.png,1,2\n".encode())


def deep(bits: int) -> bytes:
    """A grey PNG of so many bits a pixel, 8 x 8."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, bits, 0, 0, 0, 0)
    pixels = zlib.compress((b"\0" + bytes(bits)) * 8)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_a_mask_is_read_exactly_or_not_at_all() -> None:
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for image in (Image.fromarray(ids), Image.merge("RGB", [Image.fromarray(ids)] * 3)):
        file = io.BytesIO()
        image.save(file, "PNG")
        assert (np.asarray(decode_ids(file.getvalue())) == ids).all()
    for bits in (2, 4, 16):
        with pytest.raises(InputError, match=f"{bits} bits"):
            decode_ids(deep(bits))
    assert np.asarray(decode_ids(deep(8))).max() == np.asarray(decode_ids(deep(1))).max() == 0
    colours = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(colours, "PNG")
    for data in (colours.getvalue(), b"", b"\x89PNG\r\n\x1a\n", half(4)[:60]):
        with pytest.raises(InputError):
            decode_ids(data)
    with pytest.raises(UnsupportedMediaError, match="JPEG"):
        decode_ids(half(4, kind="JPEG"))


def test_the_form_asks_for_every_setting_and_tells_what_may_come_along(client: TestClient) -> None:
    stripes, shades = (client.get(f"/many/{page}").text for page in ("stripes", "shades"))
    assert '<input type="number" name="count" value="3"' in stripes and 'step="1"' in stripes
    assert '<select name="wide">' in stripes and '<option value="false" selected>No</option>' in stripes
    assert "True masks" in shades and "True masks" not in stripes and "labels.csv" in stripes
