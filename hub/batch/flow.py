"""The grid as a Metaflow flow, for thousands of pictures: in processes here; on Kubernetes or AWS Batch by flags alone.

    make flow ARGS='--page stable_diffusion --subjects "red circle;blue star" --styles "on black;on white" --seeds 4'
    python hub/batch/flow.py run --page ... --run-name autumn     # once more: draws only what is missing
    python hub/batch/flow.py resume                               # Metaflow's own: goes on where a step failed
    python hub/batch/flow.py card view draw                       # the pictures of each style
    python hub/batch/flow.py run --page ... --carry true --with kubernetes:image=IMAGE,gpu=1,memory=16000
    python hub/batch/flow.py run --page ... --carry true --with batch:image=IMAGE,gpu=1,memory=16000
    python hub/batch/fetch.py RUN_ID                              # brings carried pictures into this hub's gallery

Elsewhere IMAGE has what requirements.txt and requirements-flow.txt list; the program, its pages and bundled weights
travel in Metaflow's code package, pictures in its datastore (METAFLOW_DEFAULT_DATASTORE=s3). The hub's own settings are
HUB_... variables, as everywhere.
"""

# ruff: noqa: E402 - where this program is, and where Metaflow's files go, is said before either is imported
from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# Tasks run this file by its path: here the program is two folders up, elsewhere beside it in Metaflow's package.
ROOT = HERE if (HERE / "hub").is_dir() else HERE.parents[1]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from hub.batch import environment

environment.prepare()

from metaflow import FlowSpec, Parameter, card, current, package_sources, retry, step
from metaflow.cards import Image, Markdown, Table

from hub.archive.gallery import seeds_of
from hub.batch import grid, plan, workers
from hub.batch.folder import Record, RunFolder
from hub.batch.plan import Plan
from hub.batch.workers import Tally
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.images import thumbnail
from hub.settings import Settings, default_folder, from_environment

PACKAGED = ("py", "json", "toml", "md", "txt", "model", "safetensors", "png", "jpg", "html", "css", "js")
SIDE = 160  # pixels of a picture on a card
CARD_MOST = 400  # pictures on a card; all are in the run's folder


CARRIED = (ROOT / "hub", default_folder("demos"), default_folder("weights"))  # to machines elsewhere


@package_sources([str(folder) for folder in CARRIED], suffixes=PACKAGED)
class GridFlow(FlowSpec):
    """Draws every subject in every style with every seed; what is drawn already stays."""

    page = Parameter("page", default="", help="a page that makes pictures from words")
    subjects = Parameter("subjects", default="", help="what the pictures show, with ; between")
    styles = Parameter("styles", default="", help="words added to each subject, with ; between")
    seeds = Parameter("seeds", default="1", help="how many seeds (4), or which (7,12,40-49)")
    template = Parameter("template", default="", help="how prompts are made; default: '{subject}, {style}'")
    settings = Parameter("settings", default="{}", help="other inputs of the page, as JSON")
    run_name = Parameter("run-name", default="", help="a name; that of an earlier run goes on with it")
    shards = Parameter("shards", default=1, help="tasks for each style")
    carry = Parameter("carry", default=False, help="pictures travel in the datastore: where tasks share no disk")

    @step
    def start(self) -> None:
        """Plans the grid, or finds it; fetches the weights once for all tasks of this machine."""
        hub = _engine()
        try:
            grid_plan = _plan(hub, self)
        finally:
            hub.close()
        self.plan = grid_plan.to_json()
        self.parts = [(style, part) for style in grid_plan.styles for part in range(max(1, int(self.shards)))]
        print(f"Run {grid_plan.run}: {len(grid_plan)} cells in {len(self.parts)} tasks.")
        self.next(self.draw, foreach="parts")

    @card(type="blank", id="pictures")
    @retry(times=2, minutes_between_retries=0)
    @step
    def draw(self) -> None:
        """Draws what one part of a style still lacks."""
        style, part = self.input
        grid_plan = plan.read(self.plan)
        folder, parts = _folder(grid_plan), max(1, int(self.shards))
        every = [cell for number, cell in enumerate(grid_plan.cells(style)) if number % parts == part]
        todo = grid.missing(folder, every)
        begin, tally = time.time(), Tally()
        if todo:
            hub = _engine(self.index, len(self.parts))
            try:
                grid.check(hub, grid_plan)
                hear = _Printer(style, len(todo))
                tally = workers.here(hub, folder, grid_plan, todo, hear, f"task {current.task_id}")
            finally:
                hub.close()
        names = {cell.name for cell in every}
        self.records = [record for name, record in folder.find_records(names).items() if name in names]
        self.failed = tally.failed
        pace = grid.total(tally.paces.values())
        self.pace = {"style": style, "task": current.task_id, "pictures": pace.pictures, "seconds": pace.seconds,
                     "load_s": pace.load_s, "begin": begin, "end": time.time()}  # fmt: skip
        files = [entry["file"] for record in self.records for entry in record["pictures"]]
        self.files = {file: (folder.path / file).read_bytes() for file in files} if self.carry else {}
        _show(current.card["pictures"], grid_plan, style, self.records, folder)
        self.next(self.join)

    @card(type="blank", id="figures")
    @step
    def join(self, inputs: Any) -> None:
        """Adds up what the tasks did."""
        self.plan = inputs[0].plan
        self.paces = [task.pace for task in inputs]
        self.drawn = sum(pace["pictures"] for pace in self.paces)
        self.cells = sum(len(task.records) for task in inputs)
        self.failures = {name: text for task in inputs for name, text in task.failed.items()}
        rows = [[p["style"], str(p["pictures"]), f"{p['load_s']:.1f} s", f"{p['seconds']:.1f} s", f"{_a_minute(p):.1f}"]
                for p in self.paces]  # fmt: skip
        current.card["figures"].append(Markdown(f"# Run {plan.read(self.plan).run}\n{self._summary()}"))
        current.card["figures"].append(Table(rows, headers=["Style", "Pictures", "Loading", "Drawing", "A minute"]))
        for row in rows:
            print("{}: {} pictures, loading {}, drawing {}, {} a minute".format(*row))
        self.next(self.end)

    @step
    def end(self) -> None:
        """Tells what there is now. Fails where cells failed, so that nobody takes the run for whole."""
        print(self._summary())
        if self.failures:
            raise HubError(
                "{count} cells failed, for example: {example}",
                count=len(self.failures),
                example=next(iter(self.failures.values())),
            )

    def _summary(self) -> str:
        grid_plan, busy = plan.read(self.plan), [pace for pace in self.paces if pace["pictures"]]
        text = f"{self.cells} of {len(grid_plan)} cells are there, {self.drawn} of these drawn now"
        if busy:
            seconds = max(p["end"] for p in busy) - min(p["begin"] for p in busy)
            text += f": {60 * self.drawn / seconds:.1f} pictures a minute in all, with loading"
        return f"{text}. {grid.root(_settings()) / grid_plan.run}"


def _settings() -> Settings:
    return grid.settings_for(from_environment())


def _engine(number: int = 0, count: int = 1) -> Hub:
    """An engine for one of `count` tasks, which share the cores and GPUs of their machine."""
    return Hub(workers.own_device(_settings(), number, min(count, os.cpu_count() or 1)))


def _plan(hub: Hub, flow: Any) -> Plan:
    root = grid.root(hub.settings)
    if flow.run_name and (root / plan.run_name(flow.run_name)).is_dir():
        _, grid_plan = RunFolder.open(root, flow.run_name)
        grid.check(hub, grid_plan)
        return grid_plan
    try:
        settings = dict(json.loads(flow.settings))
    except (TypeError, ValueError) as error:
        raise InputError(
            '--settings must be JSON such as {{"steps": 8}}: {reason}', reason=error, field="settings"
        ) from None
    subjects, styles = ([t for t in text.split(";") if t.strip()] for text in (flow.subjects, flow.styles))
    more = {"template": flow.template, "settings": settings, "run": flow.run_name}
    grid_plan = plan.make(hub, flow.page, subjects, styles, seeds_of(flow.seeds), **more)
    RunFolder.create(root, grid_plan)
    return grid_plan


def _folder(grid_plan: Plan) -> RunFolder:
    """The run's folder; made here where the task's machine does not share the disk with the start."""
    root = grid.root(_settings())
    return RunFolder(root / grid_plan.run) if (root / grid_plan.run).is_dir() else RunFolder.create(root, grid_plan)


class _Printer:
    """Tells a task's progress in its log, a line each tenth."""

    def __init__(self, style: str, count: int):
        self.style, self.count, self.done = style, count, 0

    def __call__(self, kind: str, value: Any) -> None:
        if kind == "failed":
            print(f"error: {value[0].prompt}, seed {value[0].seed}: {value[1]}", file=sys.stderr)
        if kind in ("done", "failed"):
            self.done += 1
            if self.done % max(1, self.count // 10) == 0 or self.done == self.count:
                print(f"{self.style}: {self.done} of {self.count}", flush=True)


def _show(into: Any, grid_plan: Plan, style: str, records: list[Record], folder: RunFolder) -> None:
    """A row per subject, a column per seed."""
    by_cell = {(record["subject"], record["seed"]): record for record in records}
    seeds = [seed for seed in grid_plan.seeds if any(of == seed for _, of in by_cell)]
    seeds = seeds[: max(1, CARD_MOST // len(grid_plan.subjects))]
    facts = f"Run {grid_plan.run}, page {grid_plan.page}, weights {grid_plan.weights or 'none'} {grid_plan.digest[:12]}"
    into.append(Markdown(f"# {style or grid_plan.page}\n{facts}"))
    rows = []
    for subject in grid_plan.subjects:
        cells = [_small(folder, by_cell.get((subject, seed))) for seed in seeds]
        rows.append([Markdown(subject), *cells])
    into.append(Table(rows, headers=["", *(f"seed {seed}" for seed in seeds)]))


def _small(folder: RunFolder, record: Record | None) -> Any:
    from PIL import Image as Pillow

    if record is None:
        return Markdown("")
    with Pillow.open(folder.path / record["pictures"][0]["file"]) as image:
        return Image(thumbnail(image, SIDE, "cell"))


def _a_minute(pace: dict[str, Any]) -> float:
    return 60 * float(pace["pictures"]) / pace["seconds"] if pace["seconds"] else 0.0


if __name__ == "__main__":
    GridFlow()
