"""Words for a page in a frame that is closed off: `sandbox` without allow-same-origin and allow-scripts.

There a browser keeps no cookie, lets the page load none of its own scripts, and the hub takes it for another website:
the page would stay blank.
"""

from __future__ import annotations

import json

from hub import texts

TEXT = (
    "This page cannot work in this frame: the website that shows it has closed the frame off. Open the page in a tab "
    'of its own; whoever made the website can write sandbox="allow-scripts allow-same-origin allow-forms".'
)


def _head() -> str:
    told = {language: catalogue.say(TEXT) for language, catalogue in texts.own().items()}
    # The only way out of a script's element is this one, and the texts are ours.
    words = json.dumps(told, ensure_ascii=True).replace("<", "\\u003c")
    style = "font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:10vh auto;padding:0 1rem"
    return (
        f'<noscript><p style="{style}">{TEXT}</p></noscript><script>'
        'if (window.origin === "null") document.addEventListener("DOMContentLoaded", () => {'
        f"const told = {words}, words = document.createElement('p');"
        "words.textContent = told[document.documentElement.lang] || told.en;"
        f"words.style = '{style}'; document.body.replaceChildren(words); }});</script>"
    )


HEAD = _head()
