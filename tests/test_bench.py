"""The bench's own arithmetic and its output; no timing is asserted here."""

from __future__ import annotations

import io
import json

import pytest
from PIL import Image

from bench import __main__ as program
from bench import report
from bench.context import Findings
from bench.figures import Spread, compare, spread
from bench.inputs import photo, values
from hub.pages.registry import discover


def test_ratios_are_taken_within_rounds_so_that_drift_cancels_out() -> None:
    row = compare("rest", "latency", "ms", [[2, 2, 2], [20, 20, 20]], [[1, 1, 1], [10, 10, 10]], "plain loop")
    assert row.ratio.median == row.ratio.q1 == row.ratio.q3 == 2.0
    assert (row.hub.n, row.ratio.n) == (6, 2)
    assert not row.hub_wins


def test_one_sample_has_no_spread_and_none_is_an_error() -> None:
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0, 1)
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_the_report_is_one_line_of_json_with_every_figure_and_what_it_depends_on() -> None:
    row = compare("rest", "latency", "ms", [[1.23456789]], [[2.5]], "plain loop")
    about = {"date": report.now(), "machine": report.machine(), "versions": report.versions()}
    line = report.line(report.document({"rest": Findings((row,), {"healthz_ms": 0.3})}, about))
    assert "\n" not in line
    told = json.loads(line)
    assert {"bench", "format", "date", "machine", "versions", "rows", "details"} <= set(told)
    assert told["rows"][0]["hub"] == {"median": 1.2346, "q1": 1.2346, "q3": 1.2346, "n": 1}
    assert told["rows"][0]["ratio"]["median"] == 0.49383
    assert told["machine"]["cpu"] and told["machine"]["cores"]


def test_no_two_pictures_are_alike_even_at_the_size_of_a_model() -> None:
    pictures = [photo(number) for number in range(40)]
    small = [Image.open(io.BytesIO(data)).resize((64, 64)).tobytes() for data in pictures]
    assert len(set(pictures)) == len(set(small)) == len(pictures)


def test_every_demo_gets_a_value_for_each_declared_input() -> None:
    for page in discover():
        given = values(page.demo, 1)
        assert list(given) == [field.name for field in page.demo.inputs]
        assert None not in given.values()


def test_an_unknown_measurement_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--only", "rest,speed"])
    assert "choose from rest, gradio, memory, startup, pictures, soak" in capsys.readouterr().err
