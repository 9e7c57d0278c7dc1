"""Memory of a served hub while many one-colour PNGs of 49 megapixels (155 KB each) come at once, and afterwards."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter

import psutil
from PIL import Image

from bench.client import MULTIPART, multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import compare
from bench.processes import Server
from hub.spec import ImageInput

SIDE = 7000
WARM = 4
FAIR = {200, 429, 503, 504}  # an answer, or words that say why there is none and when to try again
SETTLE_S, LOOK_S, MANY = 10.0, 0.02, 64  # a burst of fewer only shows that it works


def measure(bench: Bench) -> Findings:
    server = bench.hub("burst")
    server.wait()
    for number in range(WARM):
        _post(bench, server, _picture(number, 640))
    before, _ = server.memory_mb()
    bombs = [_picture(number, SIDE) for number in range(bench.plan.burst)]
    peak, statuses, begin = [before], Counter[int](), time.perf_counter()
    threads = [
        threading.Thread(target=lambda data=data: statuses.update([_post(bench, server, data)]), daemon=True)
        for data in bombs
    ]
    for thread in threads:
        thread.start()
    process = psutil.Process(server.process.pid)
    while any(thread.is_alive() for thread in threads):
        peak.append(process.memory_info().rss / 2**20)
        time.sleep(LOOK_S)
    seconds = time.perf_counter() - begin
    if set(statuses) - FAIR:
        raise BenchError(f"{bench.plan.burst} large pictures at once were answered {dict(statuses)}")
    time.sleep(SETTLE_S if bench.plan.burst >= MANY else 0)
    after, _ = server.memory_mb()
    bench.processes.stop(server)
    rows = [
        compare(
            "burst.peak", f"RSS, {len(bombs)} pictures of 49 MP at once", "MB", [[max(peak)]], [[before]], "before"
        ),
        compare("burst.after", "RSS afterwards", "MB", [[after]], [[before]], "before"),
    ]
    told = {str(status): count for status, count in statuses.items()}
    return Findings(tuple(rows), {"statuses": told, "seconds": round(seconds, 1)})


def _picture(number: int, side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (number * 3 % 256, number * 7 % 256, 40)).save(file, "PNG")
    return file.getvalue()


def _post(bench: Bench, server: Server, picture: bytes) -> int:
    demo = bench.registry.get(bench.slug).demo
    body = multipart({f.name: picture for f in demo.inputs if isinstance(f, ImageInput)})
    with server.http() as http:
        status, _ = http.post(f"/api/v1/demos/{bench.slug}", body, MULTIPART)
    return status
