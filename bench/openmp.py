"""What OpenMP's waiting costs: one forward pass alone and beside a busy process, by how long threads spin.

python -m bench.openmp

The reason for GOMP_SPINCOUNT in hub/__init__.py. By default threads spin for milliseconds at every barrier; when
another process wants the same cores, a barrier may cost a time slice.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

ROUNDS = 3
SECONDS = 4.0
PAUSE_S = 0.01  # between passes, as between requests
WAYS: dict[str, dict[str, str]] = {
    "OpenMP's default": {"GOMP_SPINCOUNT": "300000"},  # what libgomp takes where nothing is set
    "the hub's": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
}


def measure() -> float:
    """Median milliseconds of a vehicle_classifier forward pass in the dtype of this machine, in this process."""
    import torch

    from hub import devices
    from hub.registry import discover
    from hub.weights import WeightsStore

    page, folder = discover().get("vehicle_classifier"), WeightsStore().find("vehicle_classifier")
    device = torch.device("cpu")
    model = devices.place(page.demo.load(folder.path, device), device, devices.pick_dtype("auto", device))
    _, height, width = folder.config["pretrained_cfg"]["input_size"]
    batch = torch.zeros(1, 3, height, width).to(next(model.parameters()))
    times: list[float] = []
    with torch.inference_mode():
        for _ in range(8):
            model(batch)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            begin = time.perf_counter()
            model(batch)
            times.append((time.perf_counter() - begin) * 1000)
            time.sleep(PAUSE_S)
    return statistics.median(times)


@contextmanager
def busy(count: int) -> Iterator[None]:
    """`count` processes that compute for as long as this lasts."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: sum(range(10**6))"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def main() -> None:
    results: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for others in (0, 1):
            for name, way in WAYS.items():
                environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
                environment |= way
                command = [sys.executable, "-m", "bench.openmp", "--measure"]
                with busy(others):
                    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
                results.setdefault(f"{name}, {others} busy", []).append(float(done.stdout.split()[-1]))
    for what, milliseconds in results.items():
        listed = ", ".join(f"{ms:.1f}" for ms in milliseconds)
        print(f"{what:24} {statistics.median(milliseconds):8.1f} ms   ({listed})")
    print(json.dumps({"bench": "openmp", "ms": {k: statistics.median(v) for k, v in results.items()}}))


if __name__ == "__main__":
    if "--measure" in sys.argv:
        print(measure())
    else:
        main()
