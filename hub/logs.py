"""Log lines, of which each is one event: nothing that somebody sent can begin a line of its own, whoever logs it."""

from __future__ import annotations

import logging
import textwrap
from types import TracebackType

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
# Line ends and whatever else moves a terminal's cursor or colours.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
CONTROLS |= {9: "\t", 10: "\\n", 13: "\\r", 0x2028: "\\u2028", 0x2029: "\\u2029"}


class OneLine(logging.Formatter):
    """Writes control characters of a message as escapes, and moves a traceback in from where lines begin."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # logging's name
        record.message = record.message.translate(CONTROLS)
        return super().formatMessage(record)

    def formatException(  # logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        others = {code: text for code, text in CONTROLS.items() if code != 10}
        return textwrap.indent(super().formatException(ei).translate(others), "    ", lambda line: True)


def begin(level: str) -> None:
    """Logs to stderr from now on."""
    handler = logging.StreamHandler()
    handler.setFormatter(OneLine(FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler])
