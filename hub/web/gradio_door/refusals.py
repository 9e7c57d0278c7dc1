"""What a HubError becomes at Gradio's door: words for who asked, and a status that fits for who asked directly."""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.types import Scope

from hub.errors import HubError

REFUSED = "hub.refused"  # in the scope, of the errors that an event of this request ended with
UNPROCESSABLE = 422


class Refusal(gr.Error):  # type: ignore[misc]  # Gradio is followed without its types
    """A HubError as Gradio shows errors, but without a traceback in the log."""

    def __init__(self, error: HubError, message: str = "", title: str = ""):
        super().__init__(message or error.message, title=title or error.title, print_exception=False)
        self.status = error.status


def note(request: Any, error: gr.Error) -> None:
    """Leaves an error's status for the door: Gradio answers each error of a direct call with 500."""
    scope = getattr(getattr(request, "request", None), "scope", {})
    scope.get(REFUSED, []).append(getattr(error, "status", UNPROCESSABLE))


def status_of(scope: Scope, status: int) -> int:
    """The status to answer with, where Gradio would answer with `status`."""
    noted = scope.get(REFUSED)
    return int(noted[-1]) if noted and status == 500 else status
