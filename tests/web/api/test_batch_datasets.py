"""A batch over a named dataset and split of the Hub, through its real client against a small Hub on this machine."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.jobs import hub_datasets
from tests.fakes import wait_until
from tests.hub_server import HubServer, Repo
from tests.web.doors import app_of, png
from tests.weights.conftest import hub_server, waits

__all__ = ["hub_server", "waits"]
WHITE, BLACK = png(colour="white"), png(colour="black")


@pytest.fixture
def client(make_hub: Callable[..., Hub]) -> Iterator[TestClient]:
    hub = make_hub(batch_pictures=4)
    hub.jobs.start()
    yield TestClient(app_of(hub))
    hub.jobs.close()


def put(server: HubServer, files: dict[str, bytes], **more: Any) -> None:
    server.repos["datasets/ann/shades"] = Repo(**more)
    server.repos["datasets/ann/shades"].commit(files)


def batch(client: TestClient, query: str, **fields: str) -> Any:
    return client.post(f"/api/v1/demos/shades/batch?dataset={query}", files={"threshold": (None, "0.5")}, data=fields)


def table(client: TestClient, answer: Any) -> list[tuple[str, str, str]]:
    assert answer.status_code == 202, answer.text
    job = answer.json()
    wait_until(lambda: client.get(job["url"]).json()["state"] == "done")
    rows = client.get(job["links"]["rows"]).json()["rows"]
    return [(row["file"], row["answer"], row["truth"]) for row in rows]


def of_parquet(names: list[str], images: list[bytes], labels: list[int]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    rows = [{"image": {"bytes": data, "path": f"{n}.png"}, "label": label}
            for n, (data, label) in enumerate(zip(images, labels, strict=True))]  # fmt: skip
    made = pa.Table.from_pylist(rows)
    file = io.BytesIO()
    described = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    parquet.write_table(described, file, row_group_size=1)
    return file.getvalue()


def test_folders_of_a_class_in_a_split_are_a_batch_that_is_scored(client: TestClient, hub_server: HubServer) -> None:
    put(hub_server, {"test/light/a.png": WHITE, "test/dark/b.png": WHITE, "train/light/c.png": WHITE, "README.md": b""})
    answer = batch(client, "ann/shades&split=test")
    assert table(client, answer) == [("test/dark/b.png", "light", "dark"), ("test/light/a.png", "light", "light")]
    score = client.get(answer.json()["links"]["summary"]).json()["score"]
    assert score["figures"][0]["value"] == 0.5


def test_metadata_tells_what_is_true(client: TestClient, hub_server: HubServer) -> None:
    lines = b'{"file_name": "a.png", "label": "dark"}\n{"file_name": "b.png", "label": "dark"}\n'
    put(hub_server, {"train/a.png": WHITE, "train/b.png": BLACK, "train/metadata.jsonl": lines})
    answer = client.post("/api/v1/demos/shades/batch?dataset=ann/shades")  # without settings a body is not needed
    assert table(client, answer) == [("train/a.png", "light", "dark"), ("train/b.png", "dark", "dark")]


def test_pictures_in_parquet_have_the_names_of_their_classes(client: TestClient, hub_server: HubServer) -> None:
    put(
        hub_server, {"data/test-00000-of-00001.parquet": of_parquet(["dark", "light"], [WHITE, BLACK, b"?"], [1, 1, 0])}
    )
    rows = table(client, batch(client, "ann/shades&split=test"))
    assert rows == [("0.png", "light", "light"), ("1.png", "dark", "light"), ("2.png", "", "dark")]


def mask_of(left: int) -> bytes:
    """Class 0 in so many of 24 columns, class 1 in the others."""
    ids = np.ones((16, 24), np.uint8)
    ids[:, :left] = 0
    file = io.BytesIO()
    Image.fromarray(ids).save(file, "PNG")
    return file.getvalue()


WHOLE, HALF = mask_of(0), mask_of(12)


def of_masks(images: list[bytes], masks: list[bytes | None]) -> bytes:
    """The mask comes first and is called label, as in some datasets for segmentation."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = [{"label": {"bytes": mask, "path": None}, "image": {"bytes": data, "path": f"{n}.png"}}
            for n, (data, mask) in enumerate(zip(images, masks, strict=True))]  # fmt: skip
    file = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


MASK_LINES = b"".join(b'{"file_name": "%d.png", "mask_file_name": "%d-true.png"}\n' % (n, n) for n in (0, 1))
WITH_MASKS = {
    "folders": {"test/0.png": WHITE, "test/1.png": WHITE, "test_masks/0.png": WHOLE, "test_masks/1.png": HALF},
    "below": {"images/test/0.png": WHITE, "images/test/1.png": WHITE, "annotations/test/0.png": WHOLE,
              "annotations/test/1.png": HALF, "images/train/0.png": WHITE},
    "metadata": {"test/0.png": WHITE, "test/1.png": WHITE, "test/0-true.png": WHOLE, "test/1-true.png": HALF,
                 "test/metadata.jsonl": MASK_LINES},
    "parquet": {"data/test-0.parquet": of_masks([WHITE, WHITE], [WHOLE, HALF])},
}  # fmt: skip


@pytest.mark.parametrize("files", WITH_MASKS.values(), ids=WITH_MASKS)
def test_true_masks_of_a_dataset_are_found_and_scored(
    client: TestClient, hub_server: HubServer, files: dict[str, bytes]
) -> None:
    put(hub_server, files)
    answer = batch(client, "ann/shades&split=test")
    assert len(table(client, answer)) == 2, "masks are no pictures"
    score = client.get(answer.json()["links"]["summary"]).json()["score"]
    figures = {one["name"]: one["value"] for one in score["figures"]}
    assert score["pictures"] == 2 and figures["pixel_accuracy"] == pytest.approx(0.75)


def test_a_row_without_its_mask_is_answered_and_not_scored(client: TestClient, hub_server: HubServer) -> None:
    put(hub_server, {"data/test-0.parquet": of_masks([WHITE, WHITE], [WHOLE, None])})
    answer = batch(client, "ann/shades&split=test")
    assert [answered for _, answered, _ in table(client, answer)] == ["light", "light"]
    assert client.get(answer.json()["links"]["summary"]).json()["score"]["pictures"] == 1


def described_as(features: bytes, kind: str = "binary") -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    bytes_of = {"binary": WHITE, "string": "no picture"}[kind]
    made = pa.Table.from_pylist([{"image": {"bytes": bytes_of, "path": "0.png"}, "label": 1}])
    file = io.BytesIO()
    parquet.write_table(made.replace_schema_metadata({"huggingface": features}), file)
    return file.getvalue()


DEEP, NUMBER = b"[" * 100_000, b'{"info": {"features": {"label": {"names": 7}}}}'
HOSTILE = {
    "lines": ({"test/0.png": WHITE, "test/metadata.jsonl": DEEP}, 422),
    "no object": ({"test/0.png": WHITE, "test/metadata.jsonl": b"5"}, 422),
    "schema": ({"data/test-0.parquet": described_as(DEEP)}, 503),
    "schema of lists": ({"data/test-0.parquet": described_as(b"[[]]")}, 202),
    "names that are none": (
        {"data/test-0.parquet": described_as(NUMBER)},
        202,
    ),
    "texts for pictures": ({"data/test-0.parquet": described_as(b"{}", "string")}, 422),
}


@pytest.mark.parametrize(("files", "status"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_dataset_says_of_itself_is_read_or_refused_in_words(
    client: TestClient, hub_server: HubServer, files: dict[str, bytes], status: int
) -> None:
    put(hub_server, files)
    answer = batch(client, "ann/shades&split=test")
    assert answer.status_code == status, answer.text
    assert status == 202 or "dataset" in answer.json()["detail"] or "split" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("ann/nothing", 503, "no repository"),
        ("ann/shades&split=other", 404, "no pictures"),
        ("../secret", 422, "must be a name"),
        ("ann/shades&split=a/b", 422, "must be a name"),
        ("ann/shades&revision=../x", 422, "must be a name"),
        ("ann/shades", 413, "4 pictures"),
    ],
)
def test_what_is_not_there_or_too_much_is_refused_and_leaves_nothing(
    client: TestClient, hub_server: HubServer, query: str, status: int, text: str
) -> None:
    put(hub_server, {f"train/{n}.png": WHITE for n in range(5)})
    answer = batch(client, query)
    assert answer.status_code == status and text in answer.json()["detail"]


def test_a_split_of_more_bytes_than_a_batch_may_have_is_not_fetched(
    make_hub: Callable[..., Hub], hub_server: HubServer
) -> None:
    hub = make_hub(jobs_disk_mb=0.004)
    put(hub_server, {"train/a.png": bytes(2000)})
    answer = batch(TestClient(app_of(hub)), "ann/shades")
    assert answer.status_code == 413 and not [path for path in hub.jobs.folders.root.iterdir() if path.is_dir()]


def test_a_private_dataset_of_the_operator_is_nobody_elses(
    client: TestClient, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(hub_server, {"train/a.png": WHITE}, private=True)
    monkeypatch.setenv("HF_TOKEN", "hf_localTokenThatMustNeverBeShown")
    assert batch(client, "ann/shades").status_code == 503


def test_an_offline_hub_fetches_nothing(make_hub: Callable[..., Hub]) -> None:
    answer = batch(TestClient(app_of(make_hub(offline=True))), "ann/shades")
    assert answer.status_code == 503 and "offline" in answer.json()["detail"]


def test_splits_are_known_by_folder_or_name() -> None:
    paths = [
        "test/a.png",
        "data/test-00000-of-00002.parquet",
        "main/test/0.parquet",
        "testing/a.png",
        "a/test2-0.parquet",
    ]
    assert [hub_datasets.is_of_split(path, "test") for path in paths] == [True, True, True, False, False]
