"""Nothing that somebody sent can begin a log line of its own."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub import logs
from hub.hub import Hub
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
