"""Ten thousand pictures in one batch: memory stays bounded, and whoever visits meanwhile is answered."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path

import httpx
import psutil
import pytest

from tests.served import serving
from tests.web.doors import png

PICTURES, VISITS_APART_S = 10_000, 1.0
GROWTH_MB = 400  # of the hub and its workers: what 10,000 open pictures of a phone would take is a thousand times that
PAGE = """
import numpy as np
from hub.spec import Demo, ImageInput, Labels, Seed

def present(output, image, seed):
    return {"shade": {"light": output, "dark": 1 - output}}

DEMO = Demo(
    title="Tiny", summary="Tells light from dark.", task="Test", inputs=(ImageInput("image", "Photo"), Seed()),
    outputs=(Labels("shade", "Shade"),), load=lambda folder, device: None,
    prepare=lambda image, seed: float(np.asarray(image).mean()) / 255, infer=lambda model, items: items,
    present=present,
)
"""


def memory_mb(process: psutil.Process) -> float:
    """What the hub and its workers have for themselves."""
    return sum(one.memory_full_info().uss for one in (process, *process.children(recursive=True))) / 2**20


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_ten_thousand_pictures_fill_no_memory_and_starve_no_visitor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages, packed = tmp_path / "demos", io.BytesIO()
    pages.mkdir()
    (pages / "tiny.py").write_text(PAGE)
    with zipfile.ZipFile(packed, "w") as opened:
        for n in range(PICTURES):
            opened.writestr(f"{'light' if n % 2 else 'dark'}/{n:05d}.png", png(16, 16, (n % 256, n // 256, 7)))
    flags = ("--demos-folder", str(pages), "--device", "cpu", "--dtype", "float32")
    with serving(tmp_path / "data", *flags) as served, httpx.Client(base_url=served.url, timeout=120) as client:
        visit(client, -1)
        process = psutil.Process(served.process.pid)
        before, peak, waits, begin = memory_mb(process), 0.0, list[float](), time.monotonic()
        answer = client.post("/api/v1/demos/tiny/batch", files={"files": ("all.zip", packed.getvalue())})
        assert answer.status_code == 202, answer.text
        url, job = answer.json()["url"], answer.json()
        while job["state"] in ("queued", "running"):
            waits.append(visit(client, len(waits)))
            peak = max(peak, memory_mb(process))
            time.sleep(VISITS_APART_S)
            job = client.get(url).json()
        took = time.monotonic() - begin
        summary = client.get(job["links"]["summary"]).json()
        sheet = client.get(job["links"]["csv"])
        assert job["state"] == "done" and job["progress"]["done"] == PICTURES
        assert summary["score"]["pictures"] == PICTURES and sheet.text.count("\n") == PICTURES + 1
        waits.sort()
        with capsys.disabled():
            print(f"\n{PICTURES} pictures in {took:.0f} s; memory {before:.0f} MB before, at most {peak:.0f} MB")
            middle, most = waits[len(waits) // 2], waits[-1]
            print(f"{len(waits)} visitors meanwhile waited {middle:.2f} s in the middle, {most:.2f} s at most")
        assert peak - before < GROWTH_MB
        assert len(waits) > 5, "a visitor came and was answered again and again"


def visit(client: httpx.Client, number: int) -> float:
    """Seconds until somebody else has the answer to a picture of their own."""
    begin = time.monotonic()
    answer = client.post("/api/v1/demos/tiny", files={"image": png(16, 16, (1, number % 256, 200))}, data={"seed": 1})
    assert answer.status_code == 200, answer.text
    return time.monotonic() - begin
