"""Words for a page in a frame that is closed off: `sandbox` without allow-same-origin and allow-scripts.

There a browser keeps no cookie, lets the page load none of its own scripts, and the hub takes it for another website:
the page would stay blank.
"""

from __future__ import annotations

from functools import cache

from markupsafe import Markup

from hub import texts
from hub.web.parts.pieces import piece

TEXT = (
    "This page cannot work in this frame: the website that shows it has closed the frame off. Open the page in a tab "
    'of its own; whoever made the website can write sandbox="allow-scripts allow-same-origin allow-forms".'
)


@cache
def head() -> Markup:
    """What such a page needs in its head, with the words in all languages: the page itself may have none."""
    return piece(
        "heads", "closed_frame", {language: catalogue.say(TEXT) for language, catalogue in texts.own().items()}
    )
