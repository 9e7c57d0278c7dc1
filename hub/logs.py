"""Log lines, of which each is one event: nothing that somebody sent can begin a line of its own, whoever logs it.

As text for people, or as JSON for programs (`--log-format json`), on stderr. What is known to be a secret is left out.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import textwrap
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from hub import tracing

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Line ends and whatever else moves a terminal's cursor or colours.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
CONTROLS |= {9: "\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}
EVENT_CHARS, ERROR_CHARS = 8_000, 16_000  # of one line of JSON
# Access tokens of this hub (their first part is their name) and of Hugging Face's, passwords in addresses and headers.
SECRETS = (
    (re.compile(r"\b(hub_[A-Za-z0-9]{8}_)[A-Za-z0-9]{32}"), r"\1…"),
    (re.compile(r"\b(hf_)[A-Za-z0-9]{16,200}"), r"\1…"),
    (re.compile(r"(://[^\s/@:]{1,100}:)[^\s/@]{1,300}@"), r"\1…@"),
    (re.compile(r"(?i)(authorization\W{1,6}(?:bearer|basic)\s)\S{1,500}"), r"\1…"),
)


def without_secrets(text: str) -> str:
    """The text with … for what opens something."""
    for pattern, instead in SECRETS:
        text = pattern.sub(instead, text)
    return text


class OneLine(logging.Formatter):
    """Writes control characters of a message as escapes, and moves a traceback in from where lines begin."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's name
        record.message = without_secrets(record.message).translate(CONTROLS)
        return super().formatMessage(record)

    def formatException(  # logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        others = {code: text for code, text in CONTROLS.items() if code != 10}
        written = without_secrets(super().formatException(ei)).translate(others)
        return textwrap.indent(written, "    ", lambda line: True)


class JsonLine(logging.Formatter):
    """One object a line, in ASCII: time, level, logger, event; process; trace, span and run where there are; error."""

    def format(self, record: logging.LogRecord) -> str:
        try:
            event = record.getMessage()
        except Exception:  # values that do not fit their text: the line is worth more than its form
            event = f"{record.msg} {record.args!r}"
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": clip(without_secrets(event), EVENT_CHARS),
            "process": record.process,
        }
        if trace := tracing.current():
            line |= {"trace": trace.trace_id, "span": trace.span_id} | ({"run": trace.run} if trace.run else {})
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = clip(without_secrets(self.formatException(record.exc_info)), ERROR_CHARS, ends=True)
        return json.dumps(line).replace("\x7f", "\\u007f")


def clip(text: str, most: int, *, ends: bool = False) -> str:
    """At most so many characters: the first, or, where it `ends` with what matters, the last."""
    if len(text) <= most:
        return text
    return f"… {text[-most:]}" if ends else f"{text[:most]} … ({len(text)} characters)"


FORMATS: dict[str, logging.Formatter] = {"text": OneLine(FORMAT), "json": JsonLine()}


def begin(level: str, kind: str = "text") -> None:
    """Logs to stderr from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(FORMATS[kind])
    logging.basicConfig(level=level.upper(), handlers=[handler])
    if kind == "json":  # what Python would write there by itself is lines of JSON too
        logging.captureWarnings(True)
        sys.excepthook = _log_end
        threading.excepthook = _log_thread_end


def _log_end(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("hub").critical("the process ended by an error", exc_info=(kind, error, traceback))


def _log_thread_end(ended: threading.ExceptHookArgs) -> None:
    error = ended.exc_value or ended.exc_type()
    name = ended.thread.name if ended.thread else "?"
    logging.getLogger("hub").error("a thread (%s) ended by an error", name, exc_info=error)
