"""Who visits a served hub: a page in a browser profile of its own, and what the browser complains about."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Browser, Page

PATIENCE_MS = 100_000  # a model is loaded, on a machine that may be busy
# Gradio's scripts say this of a stream that is open while its page is left. Nobody is there any more to be troubled.
LEFT = re.compile(r"AbortError|Connection errored out")


def visitor(browser: Browser, complaints: list[str], **options: Any) -> Page:
    """A page; `complaints` gets what its console tells as errors. To be closed with its context."""
    defaults = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}  # drawing it costs cores
    page = browser.new_context(**{**defaults, **options}).new_page()
    page.set_default_timeout(PATIENCE_MS)

    def hear(kind: str, text: str) -> None:
        if kind == "error" and not LEFT.search(text):
            complaints.append(text)

    page.on("console", lambda message: hear(message.type, message.text))
    return page
