"""The page `/grid`: a form for a small grid, drawn by its own script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from hub import texts
from hub.batch import small
from hub.hub import Hub
from hub.pages.kinds import prompt_input
from hub.spec import Choice, Demo, Number, Slider, Text, Toggle
from hub.web.routes import ASKING, file, routes_of
from hub.web.site.templates import draw_page

# Of settings that the page offers.
KINDS: dict[type, str] = {
    Slider: "number",
    Number: "number",
    Toggle: "choice",
    Choice: "choice",
    Text: "text",
}


def routes(hub: Hub) -> list[BaseRoute]:
    """The page, its style and its script."""
    pages = GridPages(hub)
    return routes_of({"/grid": {"GET": pages.page}, "/grid/{name}": {"GET": pages.static}}, "grid")


class GridPages:
    """The page and its files."""

    def __init__(self, hub: Hub):
        self.hub = hub

    async def page(self, request: Request) -> Response:
        pages = [page for page in self.hub.visible if small.fits(page)]
        selected = next(
            (page for page in pages if page.slug == request.query_params.get("page")), pages[0] if pages else None
        )
        query = request.query_params
        field_values = {name: query.get(name, "") for name in ("subjects", "styles", "seeds", "template")}
        demo = selected.demo if selected else None
        text = draw_page(
            "grid.html", home="./", here="r/", menu=self.hub.visible, place="grid",
            words=texts.section(texts.current().language, "grid"),
            pages=pages, chosen=selected, most=small.MOST, given=field_values,
            singles=self.hub.settings.similar, fields=_fields(demo, query) if demo else [],
            hints=[example.inputs.get(prompt_input(demo)) for example in demo.examples] if demo else [],
        )  # fmt: skip
        return HTMLResponse(text, headers=ASKING)

    async def static(self, request: Request) -> Response:
        return file(request.path_params["name"], "grid")


def _fields(demo: Demo, values: Mapping[str, str]) -> list[dict[str, Any]]:
    """The page's other settings, as the form draws them; `given` holds values, as `set.NAME`."""
    fields, words = [], prompt_input(demo)
    for entry in demo.inputs:
        kind = next((kind for type_, kind in KINDS.items() if isinstance(entry, type_)), "")
        of_weights = getattr(entry, "options_from", "") or getattr(entry, "default_from", "")
        if not kind or entry.name in (words, small.SEVERAL) or of_weights:
            continue
        usual: Any = getattr(entry, "default", None) or ""
        choices = entry.options if isinstance(entry, Choice) else ()
        if isinstance(entry, Toggle):
            usual, choices = "yes" if entry.default else "no", ("yes", "no")
        fields.append({
            "name": entry.name, "label": entry.label, "help": entry.help, "kind": kind, "usual": usual,
            "value": values.get(f"set.{entry.name}", usual), "entry": entry,
            "options": [(option, option) for option in choices],
        })  # fmt: skip
    if len(demo.weights) > 1:
        options = [(weights.name, weights.title or weights.name) for weights in demo.weights]
        first = demo.weights[0].name
        fields.append({"name": "weights", "label": "Weights", "help": "", "kind": "choice", "usual": first,
                      "value": values.get("set.weights", first), "entry": None, "options": options})  # fmt: skip
    return fields
