"""Nothing that somebody sent can begin a log line of its own."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub import logs, tracing
from hub.hub import Hub
from tests.served import ROOT
from tests.web.doors import app_of

FORGED = "x\n2026-11-28 10:00:00,000 WARNING hub.web: ann signed in\r\x1b[2J\u2028y"


def line(level: int, text: str, *values: Any, error: Exception | None = None) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.OneLine(logs.FORMAT))
    fault = error and (type(error), error, None)
    handler.handle(logging.LogRecord("uvicorn.error", level, __file__, 1, text, values, fault))
    return stream.getvalue()


def test_a_message_is_one_line_whoever_logs_it() -> None:
    for text, values in (("%s failed", (FORGED,)), (FORGED.replace("%", "%%"), ())):
        written = line(logging.ERROR, text, *values)
        assert written.count("\n") == 1 and written.endswith("\n") and len(written.splitlines()) == 1
        assert not any(ord(letter) < 32 for letter in written[:-1])


def test_a_traceback_is_moved_in_from_where_lines_begin() -> None:
    first, *others = line(logging.ERROR, "failed", error=ValueError(FORGED)).splitlines()
    assert first.endswith("failed") and others and all(other.startswith("    ") for other in others)


def test_the_launcher_and_streamlit_s_host_log_so(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.Logger("root")
    monkeypatch.setattr(logging, "root", root)
    logs.begin("info")
    assert [type(handler.formatter) for handler in root.handlers] == [logs.OneLine]


def test_a_path_with_line_ends_is_logged_quoted(
    make_hub: Callable[..., Hub], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub()

    def fail(*words: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(hub.results, "get", fail)
    with caplog.at_level(logging.ERROR):
        answer = TestClient(app_of(hub)).get("/api/v1/results/a%0A2026-11-28%20ERROR%20hub:%20forged")
    assert answer.status_code == 500
    assert caplog.records and all("\n" not in record.getMessage() for record in caplog.records)


def json_line(text: str, *values: Any, error: Exception | None = None) -> dict[str, Any]:
    """What a record becomes as JSON: one line, of ASCII."""
    fault = error and (type(error), error, None)
    written = logs.JsonLine().format(logging.LogRecord("hub.web", logging.WARNING, __file__, 1, text, values, fault))
    assert written.isascii() and written.isprintable()
    line: dict[str, Any] = json.loads(written)
    return line


def test_a_line_of_json_has_what_programs_look_for() -> None:
    with tracing.entered(replace(tracing.new_trace(), run="0123456789ab")):
        trace, line = tracing.current(), json_line("%s: %d runs", "cars", 3)
    assert trace is not None
    assert (line["level"], line["logger"], line["event"]) == ("WARNING", "hub.web", "cars: 3 runs")
    assert (line["trace"], line["span"], line["run"]) == (trace.trace_id, trace.span_id, "0123456789ab")
    assert datetime.fromisoformat(line["time"]).tzinfo is not None and line["process"] == os.getpid()
    assert {"trace", "span", "run", "error"}.isdisjoint(json_line("nobody's"))


def test_what_somebody_sent_is_escaped_and_bounded_in_json() -> None:
    assert json_line("%s\x7f\udc80", FORGED)["event"] == f"{FORGED}\x7f\udc80"
    assert len(json_line("%s", "x" * 1_000_000)["event"]) < logs.EVENT_CHARS + 100
    error = json_line("failed", error=ValueError("y" * 100_000 + " the end"))["error"]
    assert len(error) < logs.ERROR_CHARS + 100 and error.endswith("the end")
    assert json_line("%d of %d", "not a number")["event"].startswith("%d of %d")


SECRET = "aB3" * 10 + "zz"


@pytest.mark.parametrize(
    "text",
    [
        f"/r/1?token=hub_abcd1234_{SECRET}",
        f"token hf_{SECRET}",
        f"http://ann:{SECRET}@collector:4318/v1/traces",
        f"{{'authorization': 'Bearer {SECRET}'}}",
        f"Authorization: Basic {SECRET}==",
    ],
)
def test_secrets_stay_out_of_the_log_in_either_form(text: str) -> None:
    for written in (
        line(logging.WARNING, "%s", text),
        line(logging.ERROR, "failed", error=ValueError(text)),
        json.dumps(json_line("%s", text, error=ValueError(text))),
    ):
        assert SECRET not in written
    assert "a plain text of a colon: and a basic authorization" in line(
        logging.INFO, "a plain text of a colon: and a basic authorization"
    )


def test_with_json_also_warnings_and_what_ends_a_thread_are_lines_of_json() -> None:
    script = (
        "import threading, warnings; from hub import logs; logs.begin('info', 'json'); warnings.warn('old');"
        "thread = threading.Thread(target=lambda: 1 / 0, name='one'); thread.start(); thread.join(); {}['x']"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    lines = [json.loads(one) for one in done.stderr.splitlines()]
    assert [one["level"] for one in lines] == ["WARNING", "ERROR", "CRITICAL"] and done.returncode == 1
    assert "ZeroDivisionError" in lines[1]["error"] and "KeyError" in lines[2]["error"]
