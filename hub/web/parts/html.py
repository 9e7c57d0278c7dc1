"""The pieces of HTML that pages are made of; templates/pieces draws and escapes them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from rich.filesize import decimal

from hub.describe import State
from hub.errors import HubError
from hub.pages import kinds
from hub.pages.kinds import from_words
from hub.pages.registry import Page
from hub.results.result import Receipt
from hub.spec import Demo, Labels, Output
from hub.texts import NAMES, current, say
from hub.web.parts import wording
from hub.web.parts.pieces import piece
from hub.weights.facts import WeightsFacts

SEARCH_FROM = 13  # a gallery of more than a dozen gets a search field
STAGES = (("queued", "Queued"), ("loading", "Loading the model"), ("running", "Running"))
COMPACT_FROM = 7  # as many labels or more are drawn one line each
NOTHING = Markup("")


# --- around pages ---------------------------------------------------------------------------------


def masthead(pages: Iterable[Page], home: bool, here: str = "", signed_in: bool = False) -> Markup:
    """The bar on top of every page, with a menu of all demos. `here`: the page's own address, empty for the home."""
    listed = [*pages]
    has_pictures = any(from_words(page.declared) for page in listed)
    return piece("frame", "masthead", listed, home, here or "./", _others(), signed_in, has_pictures)


def sign_out(kind: str = "", home: str = "") -> Markup:
    """The button that ends who is signed in. `home`: the hub's root from here."""
    return piece("frame", "sign_out", kind, home)


def languages(here: str = "") -> Markup:
    """Links to the page at the address `here` in the other languages, each by its own name."""
    return piece("frame", "languages", here, _others())


def _others() -> list[tuple[str, str]]:
    """The languages that are not spoken now."""
    return [(tag, name) for tag, name in NAMES.items() if tag != current().language]


def asset_url(slug: str, name: str) -> str:
    return f"api/v1/demos/{quote(slug)}/assets/{quote(name)}"


def gallery(entries: Sequence[tuple[Page, State]], warnings: Sequence[str]) -> Markup:
    """The home page: a card per demo, and a search field once there are more than a dozen."""
    cards = [
        (page, state, asset_url(page.slug, page.cover.name) if page.cover else "", _search_text(page))
        for page, state in entries
    ]
    return piece("frame", "home", cards, warnings, len(entries) >= SEARCH_FROM, invitation(len(entries)))


def _search_text(page: Page) -> str:
    """What the search field looks at."""
    demo = page.declared
    texts = [page.title, say(page.title), *([say(demo.summary), demo.task] if demo else []), page.slug]
    return " ".join(dict.fromkeys(texts)).lower()


def invitation(count: int) -> str:
    """What can be done here, in two or three sentences."""
    live = say("{count} live demo." if count == 1 else "{count} live demos.", count=count)
    return live + say(" Give one your own picture, or start from an example. Everything runs on this machine.")


def title(page: Page, state: State) -> Markup:
    """The head of a demo's page."""
    return piece("frame", "title", page.demo, state)


def broken(page: Page) -> Markup:
    """The page of a demo that could not be built: what is wrong, where to mend it."""
    return piece("frame", "broken", page)


def not_found(problem: HubError, home: str) -> Markup:
    """A whole page for an address that is none."""
    return piece("frame", "not_found", problem, home)


# --- a run ----------------------------------------------------------------------------------------


def hint(demo: Demo) -> Markup:
    """What to do on a page that was just opened, and what there will be to see."""
    outputs = [field for field in kinds.on_page(demo) if not field.optional]
    return piece("run", "hint", bool(demo.examples), outputs, kinds.runs_at_once(demo))


def status(
    stage: str, seconds: float, step: int = 0, total: int = 0, left_s: float | None = None, preview: str = ""
) -> Markup:
    """Where a run is: the stages that were reached, the one it is in, and the seconds so far.

    `left_s`: the seconds to come, where they are known; `preview`: the picture so far as a data: URL.
    """
    now = [code for code, _ in STAGES].index(stage)
    stages = [("done" if n < now else "now" if n == now else "next", text) for n, (_, text) in enumerate(STAGES)]
    return piece("run", "status", stages, seconds, step, total, left_s, preview)


def error(problem: HubError, below: Markup = NOTHING) -> Markup:
    """What went wrong; `below` it, more."""
    return piece("run", "error", problem, below)


def stopped(below: Markup = NOTHING) -> Markup:
    """A run was stopped; `below` it, more."""
    return piece("run", "stopped", below)


def earlier() -> Markup:
    """Seen only where an answer stands below, which is pale then: style.css."""
    return piece("run", "earlier")


def remarks(receipt: Receipt) -> Markup:
    """What a reader should know of how the inputs were read."""
    return piece("run", "remarks", receipt)


def done(receipt: Receipt, title: str) -> Markup:
    """The answer in a few words, where there are such; whether it was answered just now; below it the remarks."""
    return piece("run", "done", receipt, title)


def live_waiting() -> Markup:
    """Live mode before the first frame."""
    return piece("run", "live_waiting")


def live(rate: float | None, receipt: Receipt) -> Markup:
    """Where live mode is: the measured rate, and what the last frame took."""
    return piece("run", "live", rate, receipt)


# --- answers --------------------------------------------------------------------------------------


def json_text(data: Any) -> Markup:
    """JSON data as it is."""
    return piece("values", "value", json.dumps(data, indent=2, ensure_ascii=False))


def labels(values: Mapping[str, float], top: int, line: float | None = None, counted: bool = True) -> Markup:
    """Probabilities as bars, the highest first; `line`, in [0, 1], is drawn through all bars with its number.

    Labels at or above the line stand out; without one the first does. `counted`: tells how many do, above the bars.
    """
    bars = [
        (name, share, number == 0 if line is None else share >= line)
        for number, (name, share) in enumerate([*values.items()][:top])
    ]
    above = None
    if line is not None and counted:
        above = wording.above_line(sum(share >= line for share in values.values()), len(values), line)
    return piece("values", "labels", bars, line, len(bars) >= COMPACT_FROM, above)


def table(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """A table of flat dicts; `colour` becomes a swatch, a column ending in `percent` a bar; `shown` false is pale."""
    columns = [column for column in rows[0] if column != "colour"] if rows else []
    return piece("values", "table", columns, rows)


def panel(field: Output, value: Any, line: float | None = None) -> Markup:
    """Labels and tables as the hub draws them; `value` None: nothing yet; `line` is drawn through all labels."""
    body = None
    if value is not None:
        body = labels(value, field.top, line) if isinstance(field, Labels) else table(value)
    return piece("values", "panel", field, body)


def receipt(run: Receipt, id: str, seed: int | None, opened: bool = False) -> Markup:
    """What the result cost, stage by stage, and what it was made with."""
    times = [
        ("Queue", run.queue_ms),
        ("Load", run.load_ms),
        ("Prepare", run.prepare_ms),
        ("Infer", run.infer_ms),
        ("Present", run.present_ms),
    ]
    return piece("values", "receipt", run, times, wording.facts(run, id, seed), opened)


def weights(sets: Iterable[WeightsFacts], several: bool = False) -> Markup:
    """The figures of the card in short: metrics as tiles, then size, digest and licence."""
    return piece("values", "weights", [(facts, decimal(facts.size_bytes)) for facts in sets], several)


def examples(slug: str, entries: Sequence[tuple[str, str, bool]]) -> Markup:
    """Buttons that run an example in one click; entries as `Page.tiles` has them. A result is seen whole."""
    tiles = [(name and asset_url(slug, name), text, is_input) for name, text, is_input in entries]
    return piece("values", "examples", tiles)
