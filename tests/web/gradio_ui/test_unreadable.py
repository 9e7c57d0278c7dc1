"""A picture that is to be drawn on and cannot be shown: it is looked at within the bounds of any other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.decoding.decode import ImageLimits
from hub.pages.hints import with_hints
from hub.web.gradio_ui.page.asking import Asking
from tests.drawn_pages import drawn_demo


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Path("/dev/zero"), "at most 1 MB"),
        (Path("/nowhere/at-all.png"), "cannot read"),
        (b"no picture", "looks like text"),
        (None, ""),
    ],
)
def test_what_is_wrong_with_it_is_said_whatever_it_is(given: Any, says: str) -> None:
    hub = SimpleNamespace(limits=ImageLimits(max_bytes=2**20))
    asking = cast(Asking, SimpleNamespace(demo=with_hints(drawn_demo("mask")), hub=hub))
    error = Asking.find_unreadable(asking, "photo_mask", {"photo": given})
    assert says in error.message if error else says == ""
