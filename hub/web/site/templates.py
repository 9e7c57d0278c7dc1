"""The templates of the pages that are drawn without Gradio, and the words and filters they use."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from hub.texts import current, say, unpacked
from hub.web.parts import html, wording
from hub.web.routes import TEMPLATES


@cache
def templates() -> Environment:
    """The pages that are drawn without Gradio."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.globals.update(say=say, language=lambda: current().language, languages=lambda: Markup(html.languages()))
    environment.globals.update(sign_out=lambda home: Markup(html.sign_out(home=home)))
    environment.filters.update(
        say=say,
        day=wording.day,
        time=lambda when: wording.moment(when).strftime(say("%-d %b %Y, %H:%M UTC")),
        ms=wording.duration,
        setting=wording.setting,
        answer=wording.answer,
        remark=lambda data: say(unpacked(data)),
        # These three escape what they are given.
        labels=lambda entry: Markup(html.labels(entry["value"], entry["top"], entry.get("line"))),
        table=lambda rows: Markup(html.table(rows)),
        json=lambda value: Markup(html.json_text(value)),
    )
    return environment
