"""A hub that is killed at any moment loses no job, and does none of what was done once more."""

from __future__ import annotations

import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.served import Served, serving
from tests.web.doors import png

PICTURES, RUNS, KILLS = 120, 3, 10
PAGE = """
import os, time
import numpy as np
from hub.spec import Demo, ImageInput, Json, Seed

LOG = os.environ["COUNTED"]

def infer(model, items):
    for item in items:
        with open(LOG, "a") as file:
            file.write(f"{item}\\n")
    time.sleep(0.25)
    return items

DEMO = Demo(
    title="Counted", summary="Counts.", task="Test",
    inputs=(ImageInput("image", "Photo"), Seed()), outputs=(Json("red", "Red"),),
    load=lambda folder, device: None,
    prepare=lambda image, seed: int(np.asarray(image)[0, 0, 0]) * 256 + int(np.asarray(image)[0, 0, 1]),
    infer=infer, present=lambda output, image, seed: {"red": output}, max_batch=2,
)
"""


def counted(log: Path) -> Counter[str]:
    return Counter(log.read_text().split()) if log.exists() else Counter()


def kill(served: Served) -> None:
    """At once, with no chance to say anything."""
    served.process.send_signal(signal.SIGKILL)
    served.process.wait(30)


def done(data: Path) -> set[int]:
    """The pictures that have a row, as the dead hub left its table."""
    with sqlite3.connect(f"file:{data / 'jobs.sqlite3'}?mode=ro", uri=True) as db:
        return {number for (number,) in db.execute("SELECT number FROM picture WHERE state = 'done'")}


def has_done(data: Path, more_than: int) -> bool:
    return len(done(data)) > more_than


@pytest.mark.release
@pytest.mark.timeout(600)
def test_a_batch_and_runs_survive_ten_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages, data, log = tmp_path / "demos", tmp_path / "data", tmp_path / "counted.txt"
    pages.mkdir()
    (pages / "counted.py").write_text(PAGE)
    monkeypatch.setenv("COUNTED", str(log))
    flags = ("--demos-folder", str(pages), "--device", "cpu", "--dtype", "float32")
    urls: list[str] = []
    numbers: dict[int, str] = {}
    before_kill: list[tuple[set[str], Counter[str]]] = []

    def ask(url: str) -> None:
        files = [("files", (f"{n:03d}.png", png(8, 8, (n, 1, 0)))) for n in range(PICTURES)]
        answer = httpx.post(f"{url}/api/v1/demos/counted/batch", files=files, data={"seed": 1}, timeout=60)
        assert answer.status_code == 202, answer.text
        urls.append(answer.json()["url"])
        numbers.update({n + 1: str(n * 256 + 1) for n in range(PICTURES)})
        for n in range(RUNS):
            one = httpx.post(
                f"{url}/api/v1/demos/counted",
                files={"image": png(8, 8, (n, 2, 0))},
                headers={"Prefer": "respond-async"},
            )
            urls.append(one.json()["url"])

    for moment in range(KILLS):
        with serving(data, *flags) as served:
            if not urls:
                ask(served.url)
            elif moment % 2:  # some kills come while nothing has been done yet, others in the midst
                wait_for(partial(has_done, data, moment * 8))
            time.sleep(0.07 * moment)
            kill(served)
            rows = {numbers[number] for number in done(data)}
            before_kill.append((rows, counted(log)))
    with serving(data, *flags) as served:
        wait_for(lambda: all(job(served, url)["state"] == "done" for url in urls))
        batch = job(served, urls[0])
        assert batch["progress"]["done"] == PICTURES and batch["progress"]["failed"] == 0
        for url in urls[1:]:
            assert httpx.get(f"{served.url}{url}/result").status_code == 200
    times = counted(log)
    assert len(times) == PICTURES + RUNS, "each was done"
    for rows, counts in before_kill:
        assert {name: times[name] for name in rows} == {name: counts[name] for name in rows}, "and none of it again"


def job(served: Served, url: str) -> Any:
    return httpx.get(f"{served.url}{url}").json()


def wait_for(true: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)
