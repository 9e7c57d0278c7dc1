"""Schemathesis over a hub's own OpenAPI document, in this process: python -m tests.schemas --cases 100"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web import server
from tests.web.doors import SHADES, SLOW, png, variant

DOCUMENT = "/api/v1/openapi.json"
FINE = ["2xx", "3xx", "401", "403", "404", "409", "429", "5xx"]
# What no document can say of valid values.
BEYOND = {
    "POST /api/v1/demos/shades": ["415", "422"],  # which bytes are a picture
    "POST /api/v1/demos/shades/batch": ["413", "422"],  # bytes that begin as a ZIP, and which hosts may be told
    "POST /api/v1/demos/slow": ["422"],  # which hosts may be told of a job's end
    "POST /api/v1/demos/{slug}/grid": ["422"],  # settings are those of the page, and cells are counted
    "DELETE /api/v1/history": ["422"],  # one of two parameters is needed
}


@dataclass
class Report:
    """What came of it: cases sent, operations, and each failure once."""

    cases: int = 0
    operations: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    phases: list[str] = field(default_factory=list)


def make_app(folder: Path, **settings: Any) -> Any:
    """The whole hub as it is served, over two small pages."""
    (folder / "grey.png").write_bytes(png(colour="grey"))
    quick = variant(SLOW, infer=lambda model, items: [None] * len(items))
    pages = {
        slug: Page(slug, "a test", folder, declared=demo) for slug, demo in {"shades": SHADES, "slow": quick}.items()
    }
    chosen = {"data": str(folder / "data"), "device": "cpu", "dtype": "float32", "allow_host": "testserver", **settings}
    hub = Hub(Settings(**chosen), Registry(pages))
    hub.models.machine()
    return server.build_app(hub)


def run(
    app: Any, cases: int, seed: int = 1, headers: dict[str, str] | None = None, seconds: float | None = None
) -> Report:
    """Every operation, all checks, examples, edges, random values and sequences of calls."""
    config = SchemathesisConfig.from_dict(
        {
            "seed": seed,
            **({"max-time": int(seconds)} if seconds else {}),
            "suppress-health-check": ["all"],
            "continue-on-failure": True,
            "headers": headers or {},
            "operations": [
                {"include-name": name, "checks": {"positive_data_acceptance": {"expected-statuses": [*FINE, *more]}}}
                for name, more in BEYOND.items()
            ],
            "generation": {"max-examples": cases, "database": "none", "no-shrink": True},
            "phases": {"stateful": {"generation": {"max-examples": max(2, cases // 2)}}},
        }
    )
    schema = schemathesis.openapi.from_asgi(DOCUMENT, app, config=config, headers=headers or {})
    found = Report()
    for event in from_schema(schema).execute():
        if isinstance(event, events.PhaseFinished):
            found.phases.append(f"{event.phase.name.value}: {event.status.value}")
        if isinstance(event, events.NonFatalError | events.FatalError):
            found.failures[f"error: {getattr(event, 'value', getattr(event, 'exception', event))}"[:600]] = ""
        if isinstance(event, events.ScenarioFinished):
            _note(event.recorder, found)
    return found


def _note(recorder: Any, found: Report) -> None:
    found.cases += len(recorder.interactions)
    for interaction in recorder.interactions.values():
        if interaction.response is not None:
            found.statuses[interaction.response.status_code] += 1
    for id, checks in recorder.checks.items():
        case = recorder.cases[id].value
        name = f"{case.operation.method.upper()} {case.operation.path}"
        found.operations.add(name)
        for check in checks:
            if check.failure_info is not None:
                told = check.failure_info.failure
                text = f"{name}: {check.name}: {told.title}: {' '.join(str(told.message).split())[:200]}"
                found.failures.setdefault(text, f"{check.failure_info.code_sample[:400]}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=100, help="of each operation")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        found = run(make_app(Path(folder)), given.cases, given.seed)
    for text, sample in found.failures.items():
        print(f"{text}\n    {sample}")
    took = time.monotonic() - begin
    told = f"{found.cases} cases over {len(found.operations)} operations in {took:.0f} s"
    print(f"{told}: {len(found.failures)} failures. {'; '.join(found.phases)}. {dict(sorted(found.statuses.items()))}")
    return bool(found.failures)


if __name__ == "__main__":
    sys.exit(main())
