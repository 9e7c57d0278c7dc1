"""The bench's own arithmetic and its output; no timing is asserted here."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from PIL import Image

from bench import __main__ as program
from bench import bars, pool, processes, quiet, report, results
from bench.bars import judge
from bench.baselines.components import output_value, runner
from bench.client import MULTIPART, multipart
from bench.context import Bench, BenchError, Findings
from bench.figures import Gap, Spread, compare, count, spread
from bench.inputs import photo, values
from bench.load import LOST, request_bytes, send_all
from bench.processes import Processes
from hub.pages.registry import discover
from hub.spec import ImageOutput, Labels

ABOUT = {
    "date": report.now(), "machine": report.machine(), "versions": report.versions(), "commit": "abc", "plan": "full",
    "seconds": 1.0, "load": [0.1, 0.2], "device": "cpu", "dtype": "float32", "not_quiet": ["a neighbour"],
    "others_percent": {}, "steal_percent": {},
}  # fmt: skip


def test_ratios_are_taken_within_rounds_so_that_drift_cancels_out() -> None:
    row = compare("rest.1.loop", "latency", "ms", [[2, 2, 2], [20, 20, 20]], [[1, 1, 1], [10, 10, 10]], "plain loop")
    assert row.ratio
    assert row.ratio.median == row.ratio.q1 == row.ratio.q3 == row.figure == 2.0
    assert (row.hub.n, row.ratio.n) == (6, 2)
    assert not row.hub_wins


def test_one_sample_has_no_spread_and_none_is_an_error() -> None:
    assert spread([3.0]) == Spread(3.0, 3.0, 3.0, 1)
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_the_report_is_one_line_of_json_with_every_figure_and_what_it_depends_on() -> None:
    row = compare("rest.1.loop", "latency", "ms", [[1.23456789]], [[2.5]], "plain loop")
    found = {"rest": Findings((row,), {"healthz_ms": 0.3}), "memory": Findings((Gap("memory", "no room"),), {})}
    line = report.line(report.document(found, ABOUT))
    assert "\n" not in line
    read = json.loads(line)
    assert {"bench", "format", "date", "machine", "versions", "rows", "gaps", "bars", "details"} <= set(read)
    assert read["rows"][0]["hub"] == {"median": 1.2346, "q1": 1.2346, "q3": 1.2346, "n": 1}
    assert read["rows"][0]["ratio"]["median"] == 0.49383
    assert read["gaps"] == [{"key": "memory", "reason": "no room"}]
    assert read["machine"]["cpu"] and read["machine"]["cores"]


def test_a_bar_is_met_missed_or_not_measured_with_the_reason() -> None:
    rows = [count("kills.wrong", "wrong", "", 0), count("kills.restarts", "restarts", "", 1), Gap("memory", "no room")]
    found = {verdict.bar.key: verdict for verdict in judge(rows)}
    assert (found["kills.wrong"].met, found["kills.restarts"].met) == ("yes", "no")
    assert (found["memory.pss"].met, found["memory.pss"].reason) == ("not measured", "no room")
    assert found["startup.page"].reason == "this run left it out"


def test_every_bar_is_of_a_part_there_is_and_no_two_are_of_one_row() -> None:
    keys = [bar.key for bar in bars.BARS]
    assert len(set(keys)) == len(keys)
    assert {key.split(".")[0] for key in keys} <= set(program.PARTS)


def test_results_hold_the_bars_the_commit_and_that_the_machine_was_not_quiet(tmp_path: Path) -> None:
    found = {
        "memory": Findings((Gap("memory", "no | room"),), {}),
        "kills": Findings((count("kills.wrong", "w", "", 3),), {}),
    }
    results.keep(tmp_path / "RESULTS.md", report.document(found, ABOUT))
    text = (tmp_path / "RESULTS.md").read_text()
    assert "commit abc" in text and "NOT QUIET: a neighbour" in text
    assert "| not measured | no / room |" in text and "| 3 | <= 0 | no |" in text


def test_a_run_takes_the_place_of_earlier_figures_of_its_own_parts_alone(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    first = {"kills": Findings((count("kills.wrong", "w", "", 3), count("kills.restarts", "r", "", 5)), {"a": 1})}
    more = {"photos": Findings((compare("photos.camvid", "large", "ms", [[1.0]], [[4.0]], "before"),), {})}
    results.keep(file, report.document({**first, **more}, ABOUT))
    again = {"kills": Findings((count("kills.wrong", "w", "", 0),), {"a": 2})}
    results.keep(file, report.document(again, {**ABOUT, "commit": "def", "error": "stopped"}))
    newer, older = json.loads(file.with_suffix(".json").read_text())
    assert [row["key"] for row in newer["rows"]] == ["kills.wrong"] and newer["details"] == {"kills": {"a": 2}}
    assert [row["key"] for row in older["rows"]] == ["photos.camvid"] and older["details"] == {}
    text = file.read_text()
    assert "## Run 2" in text and "it ended early: stopped" in text
    bars = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines()
            if line.startswith("| ")}  # fmt: skip
    assert bars["worker killed every 5 s: wrong or lost answers"][::4] == ["0", "1"]
    assert bars["24-megapixel JPEG, CamVid / before"][::4] == ["0.25", "2"]
    assert bars["worker killed every 5 s: hub restarts"][2] == "not measured"


def test_a_machine_that_slows_down_meanwhile_was_not_quiet() -> None:
    calm = quiet.Calibration(100, 102)
    assert quiet.why_not(1.0, 0.0, calm, calm) == []
    assert len(quiet.why_not(20.0, 9.0, calm, quiet.Calibration(130, 200))) == 4


def test_no_two_pictures_are_alike_even_at_the_size_of_a_model() -> None:
    pictures = [photo(number) for number in range(40)]
    small = [Image.open(io.BytesIO(data)).resize((64, 64)).tobytes() for data in pictures]
    assert len(set(pictures)) == len(set(small)) == len(pictures)


def test_every_demo_gets_a_value_for_each_declared_input() -> None:
    for page in [page for page in discover() if page.over is None]:
        given = values(page.demo, 1)
        assert list(given) == [field.name for field in page.demo.inputs]
        assert None not in given.values()


def test_the_bare_app_draws_pages_whose_optional_outputs_are_left_out() -> None:
    picture = Image.new("RGB", (2, 2))
    assert output_value(ImageOutput("why", "Why", optional=True), {}) is None
    assert output_value(ImageOutput("why", "Why"), {"why": (picture, "a caption")}) is picture
    assert output_value(Labels("of", "Of"), {"of": {"a": 1.0}}) == {"a": 1.0}
    for page in [page for page in discover() if page.over is None]:
        run = runner(page.demo, lambda **given: {})
        answers = run(*values(page.demo, 1).values())
        assert (answers if isinstance(answers, list) else [answers]) == [None] * len(page.demo.outputs)


@pytest.mark.slow
def test_the_oracle_loads_least_and_lru_more() -> None:
    asked = pool.trace(400, 100, seed=1)
    best, ours, lru = pool.oracle_loads(asked), pool.pool_loads(asked), pool.lru_loads(asked)
    assert best <= min(ours, lru) and ours <= len(asked)
    assert pool.oracle_loads([1, 2, 1, 2]) == 2


@pytest.mark.release
@pytest.mark.parametrize("kind, bar", [("fixed", 1.2), ("shifting", 1.3), ("pairs", 1.1), ("circle", 1.1)])
def test_the_pool_loads_little_more_than_an_oracle(kind: str, bar: float) -> None:
    [make] = [make for key, _, make in pool.KINDS if key == kind]
    asked = make(2000, 7)
    assert pool.pool_loads(asked) <= bar * pool.oracle_loads(asked)


def test_options_of_one_field_have_commas_between_and_none_is_empty() -> None:
    body = multipart({}, {"none": (), "two": ("sky", "road"), "number": 1})
    assert b'name="none"\r\n\r\n\r\n' in body and b"\r\nsky,road\r\n" in body and b"\r\n1\r\n" in body


class Echo(BaseHTTPRequestHandler):
    """Answers how long the body was; does not answer one of 13 bytes."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) == 13:
            self.close_connection = True
            return
        answer = str(len(body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_the_load_answers_every_request_once_and_counts_what_is_lost() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        bodies = [b"x" * size for size in (1, 13, 100_000, *range(20, 60))]
        done = send_all(server.server_port, [request_bytes("/", body, MULTIPART) for body in bodies], 4)
        server.shutdown()
    assert sorted(answer.number for answer in done.answers) == list(range(len(bodies)))
    lost = [answer.number for answer in done.answers if answer.status == LOST]
    assert lost == [1]
    assert all(int(a.body) == len(bodies[a.number]) for a in done.answers if a.status == 200)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no SIGSTOP here")
def test_who_is_not_timed_sleeps_and_ends_all_the_same(tmp_path: Path) -> None:
    command = ["-c", "print('ready', flush=True); input()"]
    with Processes(tmp_path) as children:
        one, two = (children.work(name, command) for name in ("one", "two"))
        assert (one.line(), two.line()) == ("ready\n", "ready\n")
        children.wake_only(one)
        found = [psutil.Process(worker.process.pid) for worker in (one, two)]
        while found[1].status() != psutil.STATUS_STOPPED:
            pass
        assert found[0].status() != psutil.STATUS_STOPPED
        children.wake_only(two)
    assert not any(process.is_running() for process in found)


def test_an_unknown_part_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        program.main(["--only", "rest,speed"])
    assert "choose from forms, rest, busy" in capsys.readouterr().err


@pytest.mark.release
def test_a_part_that_fails_is_a_row_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(bench: Bench) -> Findings:
        raise BenchError("no room")

    monkeypatch.setattr(program, "_hardware", lambda folder: ("cpu", "float32"))
    monkeypatch.setattr(processes, "DYING_S", 0.0)
    monkeypatch.setitem(program.PARTS, "memory", fail)
    assert program.main(["--plan", "smoke", "--only", "memory,pool"]) == 1
    table, _, line = capsys.readouterr().out.rstrip("\n").rpartition("\n")
    read = json.loads(line)
    assert read["gaps"] == [{"key": "memory", "reason": "no room"}]
    assert {row["key"] for row in read["rows"]} == {f"pool.{key}" for key, _, _ in pool.KINDS}
    assert "not measured: no room" in table and "loads / oracle" in table


def test_the_last_line_is_json_even_when_nothing_could_be_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert program.main(["--plan", "smoke", "--weights-folder", str(tmp_path)]) == 1
    assert "No page has its weights" in json.loads(capsys.readouterr().out.splitlines()[-1])["error"]


@pytest.mark.bench
@pytest.mark.timeout(1200)
def test_the_whole_bench_runs_in_its_quickest_form() -> None:
    pages = "vehicle_classifier,camvid_segmentation,stable_diffusion"
    command = [sys.executable, "-m", "bench", "--plan", "smoke", "--demos", pages]
    root = Path(program.__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, env=dict(os.environ))
    read = json.loads(done.stdout.splitlines()[-1])
    whole = {gap["key"]: gap["reason"] for gap in read["gaps"] if "." not in gap["key"]}
    assert set(whole) <= {"kills"}, f"{whole}\n{done.stderr[-3000:]}"  # a hub without worker processes has none to kill
    assert {row["key"].split(".")[0] for row in read["rows"]} | set(whole) == set(program.PARTS) - {"forms"}
