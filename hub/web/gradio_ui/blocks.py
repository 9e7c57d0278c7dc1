"""The Gradio pages in the visitor's language.

What a component says (label, help, placeholder, a button's words) is translated in the browser by `gr.I18n`, which gets
no more than the visitor's language needs. What the hub draws itself, and names of options, is in that language when the
page is served. gradio_client reads English. Answers to events: see `_language_of_event`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import gradio as gr
from anyio import CapacityLimiter, to_thread
from gradio.context import LocalContext

from hub import texts
from hub.errors import HubError
from hub.people import asking
from hub.people.users import Caller
from hub.texts import Catalogue
from hub.web.gradio_door import payloads, refusals
from hub.web.gradio_door.page_files import PageFiles
from hub.web.gradio_door.parts import KINDS, Part, asked_for
from hub.web.gradio_door.refusals import Refusal
from hub.web.middleware import guard, languages

TRANSLATED = ("label", "info", "placeholder")  # properties that Gradio's front end looks up
GRADIO_THREADS = 40  # as many as Gradio takes by itself, of those that everything else is served in
REDRAW = "hub_redraw"  # attribute of a component: the function that draws its value anew


def draw(value: str | Callable[[], str] = "", **options: Any) -> gr.HTML:
    """HTML in the hub's own style only. A function draws it for each language."""
    component = gr.HTML(value() if callable(value) else value, apply_default_css=False, **options)
    if callable(value):
        setattr(component, REDRAW, value)
    return component


def translate_options(options: Sequence[str]) -> list[str | tuple[str, str]]:
    """Options for an update of a choice: as (name, value) where the name is translated, since values are not."""
    return [option if (name := texts.say(option)) == option else (name, option) for option in options]


def _config(self: Any) -> Any:
    """What the page is made of, for whoever is drawn for. Gradio reads it for each page and at /config."""
    return self.hub_parts.config(self.hub_settings, partial(_translate_part, self, texts.current()))


def _read_settings(self: Any) -> Any:
    """What Gradio asks for whenever a setting changes: no page is made for it."""
    with asked_for():
        return gr.Blocks.get_config_file(self)


def _set_config(self: Any, config: Any) -> None:
    self.hub_settings = config


def _translate_part(blocks: Any, catalogue: Catalogue, part: Part) -> Any:
    # What the menu and the home page name depends on who looks, where pages are kept from some.
    shown = ",".join(blocks.hub_parts.shown) if blocks.hub_parts.is_short else ""
    if not catalogue.texts and not shown and not blocks.hub_parts.has_rules:
        return part.config
    config = part.translated.get((catalogue.language, shown))
    if config is None:  # two threads may both make it, and make the same
        words = dict[str, str]()
        i18n = gr.I18n(**{catalogue.language: words})
        with texts.speaking(catalogue):
            components = [_translate_component(blocks, entry, i18n, words) for entry in part.config["components"]]
        spoken = {"i18n_translations": i18n.translations_dict} if catalogue.texts else {}
        config = {**part.config, "components": components, **spoken}
        if len(part.translated) >= KINDS:
            part.translated.clear()
        part.translated[catalogue.language, shown] = config
    return config


def _translate_component(blocks: Any, entry: dict[str, Any], i18n: gr.I18n, words: dict[str, str]) -> dict[str, Any]:
    """A component in the language that is spoken. What it says is added to `words`, for Gradio's front end."""
    block, props = blocks.blocks.get(entry["id"]), entry["props"]
    changed: dict[str, Any] = {}
    for name in (*TRANSLATED, *(["value"] if entry["type"] == "button" else [])):
        if isinstance(text := props.get(name), str) and (translation := texts.say(text)) != text:
            # Under a key of its own: Gradio looks up every value, too, which may be the same word.
            key = f"hub.{text}"
            words[key], changed[name] = translation, str(i18n(key))
    if (redraw := getattr(block, REDRAW, None)) is not None:
        changed["value"] = redraw()
    if isinstance(props.get("choices"), list):
        changed["choices"] = [(texts.say(name), value) for name, value in props["choices"]]
    if isinstance(props.get("alt_text"), str):
        changed["alt_text"] = texts.say(props["alt_text"])
    return {**entry, "props": {**props, **changed}} if changed else entry


def _ignore(self: Any, value: Any) -> None:
    """`launch` would set its own."""


def _i18n(self: Any) -> gr.I18n | None:
    words = self.config["i18n_translations"] if hasattr(self, "hub_settings") else None
    return gr.I18n(**words) if words else None


def _create_limiter(self: Any) -> None:
    """Gradio's own work, which may decode an upload to show it, in other threads than those of files and uploads."""
    self.limiter = CapacityLimiter(GRADIO_THREADS)


def _api_info(self: Any, *arguments: Any, page: str | None = None, **named: Any) -> Any:
    """Gradio keeps the first answer for all, so it is English, and has all pages; the door leaves some out.

    It is put together page by page.
    """
    info: dict[str, dict[str, Any]] = {"named_endpoints": {}, "unnamed_endpoints": {}}
    with texts.speaking(texts.PLAIN), asking.asked_by(None):
        for name in self.hub_parts.names if page is None else [page]:
            with asked_for(name):
                self.hub_parts.make(name)
                for kind, endpoints in gr.Blocks.get_api_info(self, *arguments, page=name, **named).items():
                    info[kind].update(endpoints)
    return info


def _queue(self: Any, *arguments: Any, **named: Any) -> Any:
    """A new Blocks asks for one of any length, and makes an app for it; what is served asks again, with options."""
    return gr.Blocks.queue(self, *arguments, **named) if arguments or named else self


async def _process_api(self: Any, block_fn: Any, inputs: list[Any], *arguments: Any, **named: Any) -> Any:
    """Every event of every page and endpoint, direct or queued, passes here before a component sees a value."""
    request = named.get("request")
    who = guard.caller(getattr(request, "request", None))
    files: PageFiles = self.hub_files
    try:
        self.hub_parts.check(block_fn.page, who)
        if named.get("iterator") is None:  # else a later step of an event whose values were checked at its first
            find = partial(files.find, who, use=True)
            inputs = [await to_thread.run_sync(payloads.admit_value, one, find, files.largest) for one in inputs]
            payloads.check(block_fn.inputs, inputs)
    except HubError as error:
        of_page = block_fn.api_visibility == "private"  # an endpoint of gradio_client stays English
        spoken = languages.catalogue_of(request.request.scope) if request is not None and of_page else None
        with texts.speaking(spoken or texts.PLAIN):
            words, title = texts.say(error.message), texts.say(error.title)
        refusal = Refusal(error, words, title)
        refusals.note(request, refusal)
        raise refusal from None
    try:
        return await gr.Blocks.process_api(self, block_fn, inputs, *arguments, **named)
    except gr.Error as error:
        refusals.note(request, error)
        raise


# Made past Gradio's own metaclass, which would write a .pyi file at every start.
Pages: type[gr.Blocks] = type.__new__(
    type(gr.Blocks),
    "Pages",
    (gr.Blocks,),
    {
        "__module__": __name__,
        "config": property(_config, _set_config),
        "i18n_instance": property(_i18n, _ignore),
        "create_limiter": _create_limiter,
        "get_api_info": _api_info,
        "get_config_file": _read_settings,
        "queue": _queue,
        "process_api": _process_api,
    },
)


def _language_of_event() -> Catalogue | None:
    """The language of whose event Gradio answers: events run in tasks of Gradio's own, not in their request's."""
    request = LocalContext.request.get(None)
    inner = getattr(request, "request", None)
    return languages.catalogue_of(inner.scope) if inner is not None else None


def _who_asked_for_event() -> Caller | None:
    """Whose event Gradio answers, by the same request."""
    request = LocalContext.request.get(None)
    inner = getattr(request, "request", None)
    return guard.caller(inner) if inner is not None else None


texts.ask_gradio[:] = [_language_of_event]
asking.of_events["gradio"] = _who_asked_for_event
