"""Files that people really have, through REST, gradio_client and the command line, beside what is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image

from hub.cli.main import main
from tests.served import PATIENT, ROOT, Served, command

pytestmark = pytest.mark.slow

CASES = ROOT / "tests" / "cases"
AS_BASE = {"big_ztxt.png": 0.002, "linear_elle.jpg": 0.05, "p3_named_srgb.png": 0.02, "photo.heic": 0.02,
           "rot6_xmp.jpg": 0.02, "trunc_2bytes.jpg": 0.02}  # fmt: skip
STRETCHED = "grey12_in_16.png"
REMARK = "image has 16-bit samples from 0 to 4080: 0 was read as black and 4095 as white."


@pytest.fixture(scope="module")
def client(hub: Served) -> Client:
    return Client(hub.url, verbose=False, httpx_kwargs=PATIENT)


def geo_tiff(folder: Path) -> Path:
    """sat.png as maps have it: six bands of float32, big-endian, each in a plane of its own, said to be grey."""
    rgb = np.asarray(Image.open(CASES / "sat.png").convert("RGB")).transpose(2, 0, 1)
    bands = np.concatenate([rgb, rgb]).astype(">f4") / 255
    from tests.decoding.test_decode_kinds import Tiff

    path = folder / "bands.tif"
    path.write_bytes(Tiff(bands.transpose(1, 2, 0), order=">", planar=True).write())
    return path


def shares(document: dict[str, Any], label: str) -> dict[str, float]:
    """The output that has this label: by label, the greatest first."""
    return next(v for v in document["outputs"].values() if isinstance(v, dict) and label in v)


def over_rest(hub: Served, slug: str, file: Path) -> dict[str, Any]:
    files = {"image": (file.name, file.read_bytes())}
    answer = httpx.post(f"{hub.url}/api/v1/demos/{slug}", files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def over_gradio(client: Client, slug: str, file: Path) -> dict[str, Any]:
    *outputs, receipt = client.predict(image=handle_file(file), api_name=f"/{slug}")
    return {"outputs": dict(enumerate(outputs)), "receipt": receipt}


def over_cli(slug: str, files: list[Path], data: Path) -> list[dict[str, Any]]:
    done = command(main, "run", slug, "--json", "--data", str(data), "--image", *map(str, files))
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_every_kind_of_file_of_one_photograph_has_its_answer_at_every_door(
    hub: Served, client: Client, tmp_path: Path
) -> None:
    slug, names = "vehicle_classifier", ["base.png", *AS_BASE, STRETCHED]
    printed = over_cli(slug, [CASES / name for name in names], tmp_path)
    right = shares(printed[0], "emergency")["emergency"]
    assert right > 0.9
    for name, cli in zip(names, printed, strict=True):
        rest, gradio = over_rest(hub, slug, CASES / name), over_gradio(client, slug, CASES / name)
        found = [shares(document, "emergency")["emergency"] for document in (rest, cli)]
        assert found == pytest.approx([right, right], abs=AS_BASE.get(name, 0.05)), name
        assert rest["id"] == gradio["receipt"]["id"], name
        remarks = [REMARK] if name == STRETCHED else []
        assert [document["receipt"]["remarks"] for document in (rest, gradio, cli)] == [remarks] * 3, name


def test_maps_of_other_sample_formats_are_answered_as_the_plain_picture_is(
    hub: Served, client: Client, tmp_path: Path
) -> None:
    slug, files = "satellite_labels", [CASES / "sat.png", CASES / "geo_rgb_u16_planar.tif", geo_tiff(tmp_path)]
    printed = over_cli(slug, files, tmp_path)
    right = shares(printed[0], "pavement")["pavement"]
    assert right > 0.9
    for file, cli in zip(files, printed, strict=True):
        rest, gradio = over_rest(hub, slug, file), over_gradio(client, slug, file)
        for document in (rest, cli):
            name, share = next(iter(shares(document, "pavement").items()))
            assert name == "pavement" and share == pytest.approx(right, abs=0.01), file.name
        assert rest["id"] == gradio["receipt"]["id"]
        bands = ["image has 6 bands: the first three were read as red, green and blue."]
        assert rest["receipt"]["remarks"] == gradio["receipt"]["remarks"] == (bands if file.name == "bands.tif" else [])


def test_what_is_not_supported_is_named_at_every_door(hub: Served, client: Client, tmp_path: Path) -> None:
    from tests.decoding.test_decode_kinds import Tiff

    file = tmp_path / "complex.tif"
    file.write_bytes(Tiff(np.zeros((16, 16, 2), np.complex64)).write())
    told = "image is a TIFF with 2 bands of complex grey samples, which is not read here."
    answer = httpx.post(f"{hub.url}/api/v1/demos/vehicle_classifier", files={"image": file.read_bytes()}, timeout=60)
    assert answer.status_code == 415 and answer.json()["detail"].startswith(told) and answer.json()["field"] == "image"
    with pytest.raises(Exception, match=told):
        client.predict(image=handle_file(file), api_name="/vehicle_classifier")
    done = command(main, "run", "vehicle_classifier", "--data", str(tmp_path), "--image", str(file))
    assert done.returncode == 2 and told in " ".join(done.stderr.split())
