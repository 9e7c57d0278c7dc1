"""What the hub is held to: every bar in one place, with how its figure is measured. Ratios are hub over baseline."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.figures import Gap, Row


@dataclass(frozen=True, slots=True)
class Bar:
    """`key` is the row whose figure is held against `bound`."""

    key: str
    figure: str
    least: bool  # the figure must reach the bound; else it must stay below
    bound: float
    how: str

    def is_met(self, figure: float) -> bool:
        return figure >= self.bound if self.least else figure <= self.bound


@dataclass(frozen=True, slots=True)
class Verdict:
    """`figure` is None where nothing was measured; `reason` then says why."""

    bar: Bar
    figure: float | None
    reason: str = ""

    @property
    def met(self) -> Literal["yes", "no", "not measured"]:
        if self.figure is None:
            return "not measured"
        return "yes" if self.bar.is_met(self.figure) else "no"


def most(key: str, figure: str, bound: float, how: str) -> Bar:
    return Bar(key, figure, False, bound, how)


def least(key: str, figure: str, bound: float, how: str) -> Bar:
    return Bar(key, figure, True, bound, how)


BEST = "eager on both sides; the peer's best way of serving at that many clients"
SPEED = "one forward pass, the fastest form against eager float32, in turn"
BARS = (
    most("rest.1.loop", "REST, one request / plain loop", 1.10, "same four functions, eager on both sides"),
    least("rest.32.two", "REST, 32 clients / two one-thread processes", 0.90, "requests a second, eager on both sides"),
    least("rest.1.litserve", "requests a second, 1 client / LitServe", 1.0, BEST),
    least("rest.8.litserve", "requests a second, 8 clients / LitServe", 1.2, BEST),
    least("rest.32.litserve", "requests a second, 32 clients / LitServe", 1.2, BEST),
    most("rest.1.litserve_p95", "p95, 1 client / LitServe", 1.0, BEST),
    most("rest.8.litserve_p95", "p95, 8 clients / LitServe", 1.0, BEST),
    most("rest.32.litserve_p95", "p95, 32 clients / LitServe", 1.0, BEST),
    least("rest.8.shipped", "requests a second, 8 clients / LitServe, as shipped", 2.5, "the hub's chosen backend"),
    least("rest.32.shipped", "requests a second, 32 clients / LitServe, as shipped", 2.5, "the hub's chosen backend"),
    least("speedups.vehicle_classifier.1", "speed-up, vehicle, batch 1", 4.0, SPEED),
    least("speedups.vehicle_classifier.8", "speed-up, vehicle, batch 8", 6.0, SPEED),
    least("speedups.satellite_labels.1", "speed-up, satellite", 3.7, SPEED),
    least("speedups.age_regression.1", "speed-up, age", 3.7, SPEED),
    least("speedups.camvid_segmentation.1", "speed-up, CamVid", 3.3, SPEED),
    least("speedups.palm_keypoints.4", "speed-up, palm", 3.3, SPEED),
    least("speedups.stable_diffusion.2", "speed-up, Stable Diffusion", 1.5, "of the U-Net, against eager, same dtype"),
    most("busy.stored", "stored answer, p95, 32 clients computing / idle", 5.0, "REST, one client beside"),
    most("busy.page", "a page's HTML, p95, 32 clients computing / idle", 5.0, "GET /<page>, one client beside"),
    most("turns.other", "a page after another page was used / before", 1.10, "a fresh hub each round"),
    most("turns.drawing", "a page after Stable Diffusion was used / before", 1.10, "a fresh hub each round"),
    most("kills.wrong", "worker killed every 5 s: wrong or lost answers", 0, "16 clients, against plain code's"),
    most("kills.restarts", "worker killed every 5 s: hub restarts", 0, "the hub's process, and whether it answers"),
    least("ray.throughput", "Ray, 2 replicas, 32 clients / the hub's own process", 0.95, "at 224 px, both eager"),
    most("ray.door", "door of a hub on Ray: share of a request's time", 0.10, "CPU of its process, 224 px, one client"),
    least("ray.many", "64 replicas that sleep / 64 x one", 0.8, "runs a second of 0.5 s each"),
    most("ray.lost", "replica killed every 10 s: wrong or lost answers", 0, "32 clients, against plain code's"),
    most("beside.page", "vehicle, p95, beside a 40-step, 4-picture drawing / alone", 3.0, "REST, one client"),
    most("beside.drawing", "Stable Diffusion beside vehicle requests / alone", 1.5, "the same drawing"),
    most("photos.classifier", "24-megapixel JPEG, classifier / before", 0.35, "REST, against the hub of 2026-11-28"),
    most("photos.camvid", "24-megapixel JPEG, CamVid / before", 0.5, "REST, against the hub of 2026-11-28"),
    most("gradio.browser", "Gradio over HTTP, browser's calls / bare Gradio app", 1.0, "same function, both eager"),
    most("gradio.repeated_rest", "repeated input, REST / bare Gradio computing", 0.05, "a stored answer"),
    most("gradio.repeated", "repeated input, Gradio over HTTP / bare Gradio computing", 0.30, "a stored answer"),
    most("many_pages.first", "1,000 pages / 6: first page served", 1.5, "from the start of the process to GET /"),
    most("many_pages.demo", "1,000 pages / 6: first demo page served", 1.5, "from the start to GET /<page>"),
    most("many_pages.home", "1,000 pages / 6: home page", 2.0, "GET / of a warm hub"),
    most("pool.fixed", "loads / oracle, fixed popularity", 1.2, "ModelPool on Zipf(1.1), 100 models, room for five"),
    most("pool.shifting", "loads / oracle, shifting popularity", 1.3, "the same, ranks drawn anew every 1,000"),
    most("memory.pss", "memory, all pages warm / as many bare Gradio processes", 0.35, "PSS of the process trees"),
    most("crowd.errors", "200 clients, 10 min: errors but promised 429, 503", 0, "runs, pages, lists, bad files"),
    most("crowd.memory", "200 clients, 10 min: memory that grew after minute 2, %", 2, "RSS of the process tree"),
    most("crowd.late", "200 clients, 10 min: p99 / median of a run", 6, "of those that were answered with 200"),
    most("startup.page", "first page / bare Gradio app with as many pages", 1.0, "from the start of the process"),
    most("startup.answer", "first answer / bare Gradio app with as many pages", 1.0, "from the start of the process"),
)  # fmt: skip


def judge(rows: Iterable[Row | Gap], bars: Iterable[Bar] = BARS) -> list[Verdict]:
    """Every bar with its figure, or with the reason why there is none."""
    figures, reasons = dict[str, float](), dict[str, str]()
    for row in rows:
        if isinstance(row, Gap):
            reasons[row.key] = row.reason
        else:
            figures[row.key] = row.figure
    verdicts = []
    for bar in bars:
        why = reasons.get(bar.key) or reasons.get(bar.key.split(".")[0]) or "this run left it out"
        figure = figures.get(bar.key)
        verdicts.append(Verdict(bar, figure, "" if figure is not None else why))
    return verdicts
