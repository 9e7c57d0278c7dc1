"""The pieces of HTML that pages are made of; templates/pieces draws and escapes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from rich.filesize import decimal

from hub.describe import State
from hub.errors import HubError
from hub.jobs.reading import picture_input
from hub.pages import kinds, over_video
from hub.pages.kinds import from_words
from hub.pages.registry import Page
from hub.results import boxes as found_boxes
from hub.results.result import Receipt
from hub.spec import AudioOutput, Demo, Json, Labels, Output, Plot, TextOutput, VideoOutput
from hub.texts import NAMES, Sentence, current, say
from hub.web.parts import markdown, model_cards, wording
from hub.web.parts.pieces import piece
from hub.weights.facts import WeightsFacts

SEARCH_FROM = 13  # a gallery of more than a dozen gets a search field
STAGES = (("queued", "Queued"), ("loading", "Loading the model"), ("running", "Running"))
NAMED_MOST = 24  # boxes on one picture; of more, a name is seen when one is pointed at
COMPACT_FROM = 7  # as many labels or more are drawn one line each
DRAWN = count()
NOTHING = Markup("")
IN_MENU, AT_ONCE = 60, 60  # demos in the menu of every page; and cards in the home page as it is first sent


# --- around pages ---------------------------------------------------------------------------------


def masthead(
    pages: Iterable[Page], place: str | None, *, root: str = "", here: str | None = None, signed_in: bool = False
) -> Markup:
    """The bar on top of every page, with a menu; with no `pages`, as on shared results, it leads home only.

    `place`: which page this is, by its address from the hub's `root`; None: one of none that the bar has. `here`: what
    its links to other languages begin with; None: its place.
    """
    every = [*pages]
    has_pictures = any(from_words(page.declared) for page in every)
    address = (place or "./") if here is None else here
    return piece("frame", "masthead", every[:IN_MENU], root, place, address, _others(), signed_in, has_pictures)


def _others() -> list[tuple[str, str]]:
    """The languages that are not spoken now."""
    return [(tag, name) for tag, name in NAMES.items() if tag != current().language]


def picture_url(page: Page, place: str, name: str) -> str:
    """Where a picture of a page is as small as its place. Another file has another address."""
    return f"pictures/{quote(page.slug)}/{place}/{quote(name)}?v={mark_of(page.assets / name)}"


def mark_of(path: Path) -> str:
    """Tells a file from others that were in its place."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return hashlib.sha256(f"{stat.st_mtime_ns} {stat.st_size}".encode()).hexdigest()[:12]


def gallery(entries: Sequence[tuple[Page, State]], warnings: Sequence[str], count: int) -> Markup:
    """The home page of `count` demos: a card each, and a search field once there are more than a dozen.

    `entries` may be the first of them only: the home page has the others when its load event was answered.
    """
    cards = [
        (page, state, picture_url(page, "cover", cover.name) if cover else "", _search_text(page))
        for page, state in entries
        for cover in [page.cover_in(current().language)]
    ]
    return piece("frame", "home", cards, warnings, count >= SEARCH_FROM, invitation(count))


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
    """The head of a demo's page, with the ways to run it on many pictures, and over a video, where it can be."""
    many = f"many/{quote(page.slug)}" if picture_input(page.demo) else ""
    video = over_video.slug_of_videos(page.slug) if page.demo.video is not None else ""
    return piece("frame", "title", page.demo, state, many, video)


def broken(page: Page, reloads: bool = False) -> Markup:
    """The page of a demo that could not be built: what is wrong, where to mend it. Visitors learn no folder.

    `reloads`: the hub reads it again when it is saved.
    """
    folders = {page.assets, *page.assets.parents, *Path(page.source).parents}
    error = page.error
    for folder in sorted((f"{folder}/" for folder in folders if len(folder.parts) > 1), key=len, reverse=True):
        error = error.replace(folder, "")
    return piece("frame", "broken", page, error, how_to_mend(reloads))


def how_to_mend(reloads: bool) -> str:
    """What to do about a demo that is broken."""
    how = "The other demos are not affected. Mend the file and save it."
    return how if reloads else "The other demos are not affected. Mend the file and start the hub again."


# --- a run ----------------------------------------------------------------------------------------


def hint(demo: Demo) -> Markup:
    """What to do on a page that was just opened, and what there will be to see."""
    outputs = [field for field in kinds.on_page(demo) if not field.optional]
    return piece("run", "hint", bool(demo.examples), outputs, kinds.runs_at_once(demo))


def status(
    stage: str,
    seconds: float,
    step: int = 0,
    total: int = 0,
    left_s: float | None = None,
    preview: str = "",
    place: int = 0,
    so_far: str = "",
) -> Markup:
    """Where a run is: the stages that were reached, the one it is in, and the seconds so far.

    `left_s`: the seconds to come, where they are known; `preview`: the picture so far as a data: URL; `place`: in the
    queue, of a run that waits there; `so_far`: its text as it is by now.
    """
    now = [code for code, _ in STAGES].index(stage)
    stages = [("done" if n < now else "now" if n == now else "next", text) for n, (_, text) in enumerate(STAGES)]
    return piece("run", "status", stages, seconds, step, total, left_s, preview, place, so_far)


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


def done(headline: str, receipt: Receipt) -> Markup:
    """The answer in a few words; whether it was answered before; below it the remarks.

    No two are equal: a page draws, and a screen reader reads, only what changed, and an equal answer is news, too.
    """
    return piece("run", "done", headline, receipt, next(DRAWN))


def live_waiting() -> Markup:
    """Live mode before the first frame."""
    return piece("run", "live_waiting")


def live(headline: str, rate: float | None, receipt: Receipt) -> Markup:
    """Where live mode is: the last frame's answer in a few words, the measured rate, and what the frame took."""
    return piece("run", "live", headline, rate, receipt)


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


def table(rows: Sequence[Mapping[str, Any]], unseen: Sequence[str] = ()) -> Markup:
    """A table of flat dicts; `colour` becomes a swatch, a column ending in `percent` a bar; `shown` false is pale."""
    names = [column for column in rows[0] if column != "colour" and column not in unseen] if rows else []
    return piece("values", "table", [(name, wording.decimals([row[name] for row in rows])) for name in names], rows)


def chips(rows: Sequence[Mapping[str, Any]]) -> Markup:
    """The first text of each row as a label, with its percent."""
    share = next((column for column in rows[0] if column.endswith("percent")), None) if rows else None
    entries = [
        (next((v for v in row.values() if isinstance(v, str)), ""), row[share] if share else None) for row in rows
    ]
    return piece("values", "chips", entries)


def panel(field: Output, value: Any, line: float | None = None) -> Markup:
    """Labels, texts and tables as the hub draws them; `value` None: nothing yet; `line` is drawn through all labels."""
    body = None
    if value is not None:
        if isinstance(field, Labels):
            body = labels(value, field.top, line)
        elif isinstance(field, TextOutput):
            body = text(value, field.markdown)
        else:
            body = rows_of(field, value)
    return piece("values", "panel", field, body)


def text(words: str, is_markdown: bool) -> Markup:
    """A text as a model wrote it: as it is, or Markdown."""
    drawn = markdown.render(words) if is_markdown else say(words) if isinstance(words, Sentence) else words
    return piece("values", "text", drawn, is_markdown)


def boxes(found: found_boxes.Found, picture: str, export: str = "") -> Markup:
    """Boxes over the picture at the address `picture`, with legend, slider and table; `export`: where they are as COCO.

    The slider works in the browser alone: templates/files/boxes.js.
    """
    colours, size = found_boxes.colours(found), (found["width"], found["height"])
    entries = [
        (
            box,
            colours[box["label"]],
            [100 * box["x0"] / size[0], 100 * box["y0"] / size[1]],
            [100 * (box["x1"] - box["x0"]) / size[0], 100 * (box["y1"] - box["y0"]) / size[1]],
            # Its name stays in the picture: inside of a box at the upper edge, to the left of one at the right edge.
            ["top"] * (box["y0"] < 0.06 * size[1]) + ["right"] * (box["x0"] > 0.75 * size[0]),
        )
        for box in found["boxes"]
    ]
    legend = [(label, colours[label], count) for label, count in found_boxes.counts(found).items()]
    return piece("boxes", "boxes", picture, size, entries, legend, export, len(entries) > NAMED_MOST)


def boxes_panel(field: Output, value: Any, base: str) -> Markup:
    """The same as a panel; `value` None: nothing yet. `base`: the address of the result."""
    body = None if value is None else boxes(value, f"{base}/{field.name}/1", f"{base}/{field.name}?format=coco")
    return piece("boxes", "panel", field, body)


def plot(data: Mapping[str, Any], x: str, light: str, dark: str, export: str = "") -> Markup:
    """A plot, drawn for light pages at one address and for dark ones at another, with its numbers as a table.

    `export`: where the numbers are as CSV, and the drawing as SVG.
    """
    names = [*data["series"]]
    rows = [[place, *(data["series"][name][n] for name in names)] for n, place in enumerate(data["x"])]
    return piece("played", "plot", light, dark, x or "x", names, data["colours"], rows, export)


def plot_panel(field: Plot, value: Any, base: str) -> Markup:
    """The same as a panel; `value` None: nothing yet. `base`: the address of the result."""
    places = f"{base}/{field.name}/0", f"{base}/{field.name}/1", f"{base}/{field.name}"
    return piece("boxes", "panel", field, None if value is None else plot(value, field.x, *places))


def video(facts: Mapping[str, Any], still: str, address: str, label: str) -> Markup:
    """A video that plays, at an address, with a still until it does."""
    return piece("played", "video", facts, still, address, label)


def video_panel(field: VideoOutput, value: Any, base: str) -> Markup:
    """The same as a panel, as `plot_panel`."""
    places = f"{base}/{field.name}/0", f"{base}/{field.name}/1", field.label
    return piece("boxes", "panel", field, None if value is None else video(value, *places))


def sound(facts: Mapping[str, Any], wave: str, address: str, label: str) -> Markup:
    """A sound that plays, at an address, with a drawing of its wave."""
    return piece("played", "sound", facts, wave, address, label)


def sound_panel(field: AudioOutput, value: Any, base: str) -> Markup:
    """The same as a panel, as `plot_panel`."""
    places = f"{base}/{field.name}/0", f"{base}/{field.name}/1", field.label
    return piece("boxes", "panel", field, None if value is None else sound(value, *places))


def panel_of_files(field: Output, value: Any, base: str) -> Markup:
    """The panel of an output that is data with files beside it."""
    if isinstance(field, Plot):
        return plot_panel(field, value, base)
    if isinstance(field, VideoOutput):
        return video_panel(field, value, base)
    if isinstance(field, AudioOutput):
        return sound_panel(field, value, base)
    return boxes_panel(field, value, base)


def rows_of(field: Output, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """A table as its field wants it drawn."""
    if isinstance(field, Json):
        return chips(rows) if field.chips and rows else table(rows, field.unseen)
    return table(rows)


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
    """The card in four lines with a chart, then source, size and digest."""
    entries = [(facts, decimal(facts.size_bytes), model_cards.summary(facts)) for facts in sets]
    return piece("values", "weights", entries, several)


def examples(page: Page) -> Markup:
    """Buttons that run an example in one click. A result is seen whole."""
    tiles = [(name and picture_url(page, "tile", name), text, is_input) for name, text, is_input in page.tiles()]
    return piece("values", "examples", tiles)
