"""Pieces of HTML from templates, in which whatever comes from outside is escaped: the one way in which HTML is made."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from markupsafe import Markup, escape

from hub.texts import current, say, unpacked
from hub.web.parts import wording
from hub.web.routes import TEMPLATES

if TYPE_CHECKING:
    from jinja2 import Environment


def piece(file: str, name: str, /, *given: Any, **named: Any) -> Markup:
    """The macro `name` of `templates/pieces/<file>.html`, drawn for the visitor who looks now."""
    return Markup(getattr(_module(file), name)(*given, **named))


@cache
def _module(file: str) -> Any:
    return environment().get_template(f"pieces/{file}.html").module


@cache
def environment() -> Environment:
    """For pages and pieces alike. A template is read and compiled once."""
    # Here, since the guard, which can draw a page, stands also before programs that never show one.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    templates.globals.update(say=say, marked=marked, language=lambda: current().language, wording=wording, quote=quote)
    templates.filters.update(say=say, quote=quote, unpacked=unpacked)
    return templates


def script(name: str) -> Markup:
    """A file of ours among the templates, as it is."""
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def marked(text: str, /, **values: Any) -> Markup:
    """A text of ours that has tags of its own, in the visitor's language. Its values are escaped."""
    return Markup(say(text, **{name: escape(value) for name, value in values.items()}))
