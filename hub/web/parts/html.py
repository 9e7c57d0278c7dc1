"""Small pieces of HTML the pages are made of. Everything that comes from outside is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from rich.filesize import decimal

from hub.describe import State
from hub.errors import HubError
from hub.pages.kinds import from_words
from hub.pages.registry import Page
from hub.results.result import Receipt
from hub.spec import Labels, Output
from hub.texts import NAMES, current, say
from hub.web.parts import wording
from hub.weights.facts import WeightsFacts

SEARCH_FROM = 13  # a gallery of more than a dozen gets a search field
STAGES = (("queued", "Queued"), ("loading", "Loading the model"), ("running", "Running"))


def masthead(pages: Iterable[Page], home: bool, here: str = "", signed_in: bool = False) -> str:
    """The bar on top of every page, with a menu of all demos. `here`: the page's own address, empty for the home."""
    now = ' aria-current="page"' if home else ""
    listed = [*pages]
    items = "".join(f'<li><a href="{quote(page.slug)}">{escape(say(page.title))}</a></li>' for page in listed)
    pictures = f'<a href="gallery">{say("Gallery")}</a>' if any(from_words(page.declared) for page in listed) else ""
    return f"""<nav class="hub-bar" aria-label="{say("Main")}">
<a class="hub-brand" href="./"{now}><span class="hub-mark" aria-hidden="true"></span>Demo Hub</a>
<span class="hub-bar-links"><details><summary>{say("Demos")}</summary>
<ul><li><a href="./">{say("All demos")}</a></li>{items}
<li class="hub-narrow"><a href="streamlit/">Streamlit</a></li>
<li class="hub-narrow"><a href="status">{say("Status")}</a></li>
<li class="hub-narrow"><a href="api/v1/openapi.json">REST API</a></li>
{f'<li class="hub-narrow">{sign_out()}</li>' if signed_in else ""}</ul></details>
{pictures}<a href="history">{say("History")}</a><a class="hub-wide" href="streamlit/">Streamlit</a>
<a class="hub-wide" href="status">{say("Status")}</a><a class="hub-wide" href="api/v1/openapi.json">REST API</a>
{languages(f"{here or './'}")}{sign_out("hub-wide") if signed_in else ""}</span></nav>"""


def sign_out(kind: str = "", home: str = "") -> str:
    """The button that ends who is signed in. `home`: the hub's root from here."""
    return (
        f'<form class="hub-out {kind}" method="post" action="{escape(home)}sign-out">'
        f"<button>{say('Sign out')}</button></form>"
    )


def languages(here: str = "") -> str:
    """Links to the page at the address `here` in the other languages, each by its own name."""
    return "".join(
        f'<a class="hub-language" href="{escape(here)}?lang={tag}" lang="{tag}" hreflang="{tag}">{name}</a>'
        for tag, name in NAMES.items()
        if tag != current().language
    )


def asset_url(slug: str, name: str) -> str:
    return f"api/v1/demos/{quote(slug)}/assets/{quote(name)}"


def chip(state: State) -> str:
    return f'<span class="hub-chip hub-{state.code}">{escape(say(state.text))}</span>'


def gallery(entries: Sequence[tuple[Page, State]], warnings: Sequence[str]) -> str:
    """The home page: a card per demo, and a search field once there are more than a dozen."""
    notes = "".join(f'<p class="hub-note" role="status">{escape(say(text))}</p>' for text in warnings)
    search = ""
    if len(entries) >= SEARCH_FROM:
        search = (
            f'<label class="hub-search"><span>{say("Search demos")}</span>'
            f'<input type="search" placeholder="{say("Name, task or words")}" autocomplete="off"></label>'
        )
    cards = "".join(_card(page, state) for page, state in entries)
    none = f'<li class="hub-empty">{say("There is no demo here yet.")}</li>'
    return f"""<header class="hub-hero"><h1>{say("Try the models")}</h1>
<p>{invitation(len(entries))}</p></header>
{notes}{search}<ul class="hub-cards">{cards or none}</ul>
<p class="hub-empty hub-none" hidden>{say("No demo matches.")}</p>"""


def invitation(count: int) -> str:
    """What can be done here, in two or three sentences."""
    live = say("{count} live demo." if count == 1 else "{count} live demos.", count=count)
    return live + say(" Give one your own picture, or start from an example. Everything runs on this machine.")


def _card(page: Page, state: State) -> str:
    demo, cover = page.declared, page.cover
    if cover is not None:
        picture = f'<img src="{asset_url(page.slug, cover.name)}" alt="" loading="lazy" width="480" height="300">'
    else:
        picture = f'<span class="hub-blank" aria-hidden="true">{escape(page.title[:1])}</span>'
    title, summary = say(page.title), say(demo.summary if demo else "This page could not be built. Open it to see why.")
    task = f'<span class="hub-task">{escape(say(demo.task))}</span>' if demo else ""
    said = dict.fromkeys((page.title, title, summary, demo.task if demo else "", page.slug))  # what search looks at
    words = escape(" ".join(said).lower())
    return f"""<li class="hub-card" data-words="{words}"><a href="{quote(page.slug)}">
<span class="hub-cover">{picture}</span><span class="hub-card-text">{task}<strong>{escape(title)}</strong>
<span class="hub-summary">{escape(summary)}</span>{chip(state)}</span></a></li>"""


def title(page: Page, state: State) -> str:
    """The head of a demo's page."""
    demo = page.demo
    note = f'<p class="hub-note">{escape(say(demo.note))}</p>' if demo.note else ""
    task, name, summary = (escape(say(text)) for text in (demo.task, demo.title, demo.summary))
    return f"""<header class="hub-title"><p class="hub-task">{task}</p><h1>{name}</h1>
<p class="hub-lead">{summary}</p>{chip(state)}{note}</header>"""


def broken(page: Page) -> str:
    """The page of a demo that could not be built: what is wrong, where to mend it."""
    return f"""<header class="hub-title"><h1>{escape(page.title)}</h1></header>
<div class="hub-status hub-error" role="alert"><strong>{say("This demo is not working")}</strong>
<p>{escape(page.error)}</p>
<p>{say("The other demos are not affected. Mend the file and start the hub again.")}</p></div>"""


def hint(has_examples: bool) -> str:
    text = "Choose an example, or give your own input." if has_examples else "Give your input, then run."
    return f'<div class="hub-status hub-idle">{say(text)}</div>'


def status(
    stage: str, seconds: float, step: int = 0, total: int = 0, left_s: float | None = None, preview: str = ""
) -> str:
    """Where a run is: the stages that were reached, the one it is in, and the seconds so far.

    `left_s`: the seconds to come, where they are known; `preview`: the picture so far as a data: URL.
    """
    names = [code for code, _ in STAGES]
    now = names.index(stage)
    parts = []
    for number, (_, text) in enumerate(STAGES):
        kind = "done" if number < now else "now" if number == now else "next"
        step_now = ' aria-current="step"' if kind == "now" else ""
        parts.append(f'<li class="{kind}"{step_now}>{say(text)}</li>')
    steps = say("{step} of {total}", step=step, total=total)
    bar = f'<progress max="{total}" value="{step}">{steps}</progress> {steps}' if total else ""
    to_come = "" if left_s is None else say(", about {seconds} s to come", seconds=max(1, round(left_s)))
    shown = f'<img class="hub-preview" src="{preview}" alt="{say("The picture so far")}">' if preview else ""
    return (
        f'<div class="hub-status hub-busy" role="status"><ol>{"".join(parts)}</ol>{bar}'
        f'<span class="hub-seconds">{say("{number} s", number=f"{seconds:.1f}")}{to_come}</span>{shown}</div>'
    )


def error(problem: HubError, below: str = "") -> str:
    return (
        f'<div class="hub-status hub-error" role="alert"><strong>{escape(say(problem.title))}</strong>'
        f"<p>{escape(say(problem.message))}</p>{below}</div>"
    )


def stopped(below: str = "") -> str:
    return f'<div class="hub-status hub-idle" role="status">{say("Stopped.")}{below}</div>'


def earlier() -> str:
    """Seen only where an answer stands below, which is pale then: style.css."""
    return f'<p class="hub-earlier">{say("Below is still the answer of the run before.")}</p>'


def remarks(receipt: Receipt) -> str:
    """What a reader should know of how the inputs were read."""
    return "".join(f'<p class="hub-note hub-remark">{escape(say(remark))}</p>' for remark in receipt.remarks)


def done(receipt: Receipt) -> str:
    """One line: that it worked, how long it took, and how; below it the remarks."""
    return (
        f'<div class="hub-status hub-done" role="status">'
        f"{say('<strong>Done</strong> in {time}', time=wording.duration(receipt.total_ms))}"
        f"<span> · {wording.how(receipt)}</span></div>{remarks(receipt)}"
    )


COMPACT_FROM = 7  # as many labels or more are drawn one line each


def live_waiting() -> str:
    text = say("Waiting for the camera. Allow it if your browser asks.")
    return f'<div class="hub-status hub-idle">{text}</div>'


def live(rate: float | None, receipt: Receipt) -> str:
    """Where live mode is: the measured rate, and what the last frame took."""
    counted = say("Live: <strong>First frame</strong>")
    if rate:
        counted = say("Live: <strong>{rate}</strong> frames a second", rate=f"{rate:.1f}")
    total, model = wording.duration(receipt.total_ms), wording.duration(receipt.infer_ms)
    took = say("{total} a frame, {model} of it in the model", total=total, model=model)
    return (
        f'<div class="hub-status hub-live"><span class="hub-live-dot" aria-hidden="true"></span>{counted}'
        f"<span> · {took}</span></div>"
    )


def value(data: Any) -> str:
    """JSON data as it is."""
    return f'<pre class="hub-value-json">{escape(json.dumps(data, indent=2, ensure_ascii=False))}</pre>'


def labels(values: Mapping[str, float], top: int, line: float | None = None, counted: bool = True) -> str:
    """Probabilities as bars, the highest first; `line`, in [0, 1], is drawn through all bars with its number.

    Labels at or above the line stand out; without one the first does. `counted`: tells how many do, above the bars.
    """
    shown = list(values.items())[:top]
    rows = ""
    for number, (name, value) in enumerate(shown):
        strong = number == 0 if line is None else value >= line
        rows += (
            f"<li{' class=hub-strong' if strong else ''}>"
            f'<span class="hub-name">{escape(say(name))}</span><span class="hub-value">{wording.percent(value)}</span>'
            f'<span class="hub-meter" aria-hidden="true"><span style="width:{100 * value:.1f}%"></span></span></li>'
        )
    kind = " hub-compact" if len(shown) >= COMPACT_FROM else ""
    if line is None:
        return f'<ol class="hub-labels{kind}">{rows}</ol>'
    drawn = f'<ol class="hub-labels hub-lined{kind}" style="--hub-at:{100 * line:.2f}%">{rows}</ol>'
    if not counted:
        return drawn
    told = wording.above_line(sum(value >= line for value in values.values()), len(values), line)
    return f'<p class="hub-line-text"><span class="hub-line-key" aria-hidden="true"></span>{told}</p>{drawn}'


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of flat dicts; `colour` becomes a swatch, a column ending in `percent` a bar; `shown` false is pale."""
    if not rows:
        return f'<p class="hub-idle">{say("Nothing to list.")}</p>'
    columns = list(rows[0])
    head = "".join(f'<th scope="col">{escape(wording.heading(c))}</th>' for c in columns if c != "colour")
    body = "".join(
        f"<tr{' class=hub-off' if row.get('shown') is False else ''}>"
        + "".join(_cell(c, row) for c in columns if c != "colour")
        + "</tr>"
        for row in rows
    )
    return f'<table class="hub-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _cell(column: str, row: Mapping[str, Any]) -> str:
    value = row[column]
    if isinstance(value, bool):
        return f"<td>{say('yes' if value else 'no')}</td>"
    if column.endswith("percent") and isinstance(value, int | float):
        share = min(100.0, max(0.0, value))
        meter = f'<span class="hub-meter" aria-hidden="true"><span style="width:{share:.1f}%"></span></span>'
        return f'<td class="hub-percent"><div><span class="hub-digits">{value:.1f}</span>{meter}</div></td>'
    if isinstance(value, int | float):
        return f'<td class="hub-number">{value if isinstance(value, int) else format(value, "g")}</td>'
    first = next(c for c in row if c != "colour") == column
    swatch = (
        f'<span class="hub-swatch" style="background:{escape(str(row["colour"]))}"></span>'
        if first and "colour" in row
        else ""
    )
    return f"<td>{swatch}{escape(say(str(value)))}</td>"


def receipt(run: Receipt, id: str, seed: int | None, opened: bool = False) -> str:
    """What the result cost, stage by stage, and what it was made with."""
    stages = [
        ("Queue", run.queue_ms),
        ("Load", run.load_ms),
        ("Prepare", run.prepare_ms),
        ("Infer", run.infer_ms),
        ("Present", run.present_ms),
    ]
    times = "".join(f"<div><dt>{say(name)}</dt><dd>{wording.duration(ms)}</dd></div>" for name, ms in stages)
    facts = wording.facts(run, id, seed)
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    again = f"<p>{say(wording.AGAIN)}</p>" if run.cached else ""
    return f"""<details class="hub-receipt"{" open" * opened}>
<summary>{say("Receipt")} <span>{wording.duration(run.total_ms)}</span></summary>
<dl class="hub-times">{times}</dl><dl>{rows}</dl>{again}</details>"""


def weights(told: Iterable[WeightsFacts], several: bool = False) -> str:
    """The figures of the card in short: metrics as tiles, then size, digest and licence."""
    return "".join(_weights(facts, several) for facts in told)


def _weights(facts: WeightsFacts, several: bool) -> str:
    title = f"<h3>{escape(say(facts.title))}</h3>" if several else ""  # of one set, the page's title says it
    if facts.reason:
        return f'<section class="hub-facts">{title}<p class="hub-note">{escape(say(facts.reason))}</p></section>'
    tiles = "".join(
        f"<div><dt>{escape(m.name)}</dt><dd>{m.value:.3g}</dd><span>{escape(m.dataset)}</span></div>"
        for m in facts.metrics
    )
    commit = f" · commit <code>{facts.commit[:12]}</code>" if facts.commit else ""
    checked = say(", as locked") if facts.locked else ""
    licence = say("licence: {name}", name=escape(say(facts.licence)))
    tiles = f'<dl class="hub-tiles">{tiles}</dl>' if tiles else ""
    return f"""<section class="hub-facts">{title}{tiles}
<p><code>{escape(facts.name)}</code> · {escape(say(facts.source))}{commit} · {decimal(facts.size_bytes)} ·
sha256 <code>{facts.digest[:12]}</code>{checked} · {licence}</p></section>"""


def examples(slug: str, entries: Sequence[tuple[str, str, bool]]) -> str:
    """Buttons that run an example in one click; entries as `Page.tiles` has them. A result is seen whole."""
    whole = ' class="hub-whole"'
    buttons = "".join(
        f'<button type="button" data-example="{number}" title="{escape(say(text))}">'
        + (f'<img src="{asset_url(slug, name)}" alt="" loading="lazy"{"" if given else whole}>' if name else "")
        + f"<span>{escape(say(text))}</span></button>"
        for number, (name, text, given) in enumerate(entries)
    )
    return f'<div class="hub-examples"><h2>{say("Examples")}</h2><div>{buttons}</div></div>'


def not_found(problem: HubError, home: str) -> str:
    """A whole page for an address that is none."""
    return f"""<!doctype html><html lang="{current().language}"><meta charset="utf-8">
<title>{say("Not found")} · Demo Hub</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}</style>
<h1>{say("There is no such page")}</h1><p>{escape(say(problem.message))}</p>
<p><a href="{escape(home)}">{say("All demos")}</a></p></html>"""


def panel(field: Output, value: Any, line: float | None = None) -> str:
    """Labels and tables as the hub draws them; `value` None: nothing yet; `line` is drawn through all labels."""
    if value is None:
        body = f'<p class="hub-pending">{say("Shown here after a run.")}</p>'
    elif isinstance(field, Labels):
        body = labels(value, field.top, line)
    else:
        body = table(value)
    help = f'<p class="hub-help">{escape(say(field.help))}</p>' if field.help else ""
    return f'<section class="hub-panel"><h2>{escape(say(field.label))}</h2>{help}{body}</section>'
