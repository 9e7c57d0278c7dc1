"""Small pieces of HTML the pages are made of. Everything that comes from outside is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any
from urllib.parse import quote

from rich.filesize import decimal

from hub.describe import State, WeightsFacts
from hub.errors import HubError
from hub.pictures import from_words
from hub.registry import Page
from hub.results import Receipt

SEARCH_FROM = 13  # a gallery of more than a dozen gets a search field
STAGES = (("queued", "Queued"), ("loading", "Loading the model"), ("running", "Running"))


def masthead(pages: Iterable[Page], home: bool) -> str:
    """The bar on top of every page, with a menu of all demos."""
    here = ' aria-current="page"' if home else ""
    listed = [*pages]
    items = "".join(f'<li><a href="{quote(page.slug)}">{escape(page.title)}</a></li>' for page in listed)
    pictures = '<a href="gallery">Gallery</a>' if any(from_words(page.declared) for page in listed) else ""
    return f"""<nav class="hub-bar" aria-label="Main">
<a class="hub-brand" href="./"{here}><span class="hub-mark" aria-hidden="true"></span>Demo Hub</a>
<span class="hub-bar-links"><details><summary>Demos</summary>
<ul><li><a href="./">All demos</a></li>{items}
<li class="hub-narrow"><a href="streamlit/">Streamlit</a></li>
<li class="hub-narrow"><a href="api/v1/openapi.json">REST API</a></li></ul></details>
{pictures}<a class="hub-wide" href="streamlit/">Streamlit</a>
<a href="status">Status</a><a class="hub-wide" href="api/v1/openapi.json">REST API</a></span></nav>"""


def asset_url(slug: str, name: str) -> str:
    return f"api/v1/demos/{quote(slug)}/assets/{quote(name)}"


def chip(state: State) -> str:
    return f'<span class="hub-chip hub-{state.code}">{escape(state.text)}</span>'


def gallery(entries: Sequence[tuple[Page, State]], warnings: Sequence[str]) -> str:
    """The home page: a card per demo, and a search field once there are more than a dozen."""
    notes = "".join(f'<p class="hub-note" role="status">{escape(text)}</p>' for text in warnings)
    search = ""
    if len(entries) >= SEARCH_FROM:
        search = (
            '<label class="hub-search"><span>Search demos</span>'
            '<input type="search" placeholder="Name, task or words" autocomplete="off"></label>'
        )
    cards = "".join(_card(page, state) for page, state in entries)
    count = f"{len(entries)} live demo{'s' if len(entries) != 1 else ''}"
    return f"""<header class="hub-hero"><h1>Try the models</h1>
<p>{count}. Give one your own picture, or start from an example. Everything runs on this machine.</p></header>
{notes}{search}<ul class="hub-cards">{cards or '<li class="hub-empty">There is no demo here yet.</li>'}</ul>
<p class="hub-empty hub-none" hidden>No demo matches.</p>"""


def _card(page: Page, state: State) -> str:
    demo, cover = page.declared, page.cover
    if cover is not None:
        picture = f'<img src="{asset_url(page.slug, cover.name)}" alt="" loading="lazy" width="480" height="300">'
    else:
        picture = f'<span class="hub-blank" aria-hidden="true">{escape(page.title[:1])}</span>'
    summary = demo.summary if demo else "This page could not be built. Open it to see why."
    task = f'<span class="hub-task">{escape(demo.task)}</span>' if demo else ""
    words = escape(f"{page.title} {summary} {demo.task if demo else ''} {page.slug}".lower())
    return f"""<li class="hub-card" data-words="{words}"><a href="{quote(page.slug)}">
<span class="hub-cover">{picture}</span><span class="hub-card-text">{task}<strong>{escape(page.title)}</strong>
<span class="hub-summary">{escape(summary)}</span>{chip(state)}</span></a></li>"""


def title(page: Page, state: State) -> str:
    """The head of a demo's page."""
    demo = page.demo
    note = f'<p class="hub-note">{escape(demo.note)}</p>' if demo.note else ""
    return f"""<header class="hub-title"><p class="hub-task">{escape(demo.task)}</p><h1>{escape(demo.title)}</h1>
<p class="hub-lead">{escape(demo.summary)}</p>{chip(state)}{note}</header>"""


def broken(page: Page) -> str:
    """The page of a demo that could not be built: what is wrong, where to mend it."""
    return f"""<header class="hub-title"><h1>{escape(page.title)}</h1></header>
<div class="hub-status hub-error" role="alert"><strong>This demo is not working</strong>
<p>{escape(page.error)}</p><p>The other demos are not affected. Mend the file and start the hub again.</p></div>"""


def hint(has_examples: bool) -> str:
    text = "Choose an example, or give your own input." if has_examples else "Give your input, then run."
    return f'<div class="hub-status hub-idle">{text}</div>'


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
        current = ' aria-current="step"' if kind == "now" else ""
        parts.append(f'<li class="{kind}"{current}>{text}</li>')
    bar = f'<progress max="{total}" value="{step}">{step} of {total}</progress> {step} of {total}' if total else ""
    to_come = f", about {max(1, round(left_s))} s to come" if left_s is not None else ""
    shown = f'<img class="hub-preview" src="{preview}" alt="The picture so far">' if preview else ""
    return (
        f'<div class="hub-status hub-busy" role="status"><ol>{"".join(parts)}</ol>{bar}'
        f'<span class="hub-seconds">{seconds:.1f} s{to_come}</span>{shown}</div>'
    )


def error(problem: HubError) -> str:
    return (
        f'<div class="hub-status hub-error" role="alert"><strong>{escape(problem.title)}</strong>'
        f"<p>{escape(problem.message)}</p></div>"
    )


def stopped() -> str:
    return '<div class="hub-status hub-idle" role="status">Stopped.</div>'


def done(receipt: Receipt) -> str:
    """One line: that it worked, how long it took, and how."""
    how = "kept from an earlier run" if receipt.cached else "first use, model loaded" if receipt.cold else "model ready"
    return (
        f'<div class="hub-status hub-done" role="status"><strong>Done</strong> in {_ms(receipt.total_ms)}'
        f"<span> · {how}</span></div>"
    )


COMPACT_FROM = 7  # as many labels or more are drawn one line each


def live_waiting() -> str:
    return '<div class="hub-status hub-idle">Waiting for the camera. Allow it if your browser asks.</div>'


def live(rate: float | None, receipt: Receipt) -> str:
    """Where live mode is: the measured rate, and what the last frame took."""
    counted = f"<strong>{rate:.1f}</strong> frames a second" if rate else "<strong>First frame</strong>"
    took = f"{_ms(receipt.total_ms)} a frame, {_ms(receipt.infer_ms)} of it in the model"
    return (
        f'<div class="hub-status hub-live"><span class="hub-live-dot" aria-hidden="true"></span>Live: {counted}'
        f"<span> · {took}</span></div>"
    )


def value(data: Any) -> str:
    """JSON data as it is."""
    return f'<pre class="hub-value-json">{escape(json.dumps(data, indent=2, ensure_ascii=False))}</pre>'


def labels(values: Mapping[str, float], top: int, line: float | None = None) -> str:
    """Probabilities as bars, the highest first; `line`, in [0, 1], is drawn through all bars with its number.

    Labels at or above the line stand out; without one the first does.
    """
    shown = list(values.items())[:top]
    rows = ""
    for number, (name, value) in enumerate(shown):
        strong = number == 0 if line is None else value >= line
        rows += (
            f"<li{' class=hub-strong' if strong else ''}>"
            f'<span class="hub-name">{escape(name)}</span><span class="hub-value">{100 * value:.1f} %</span>'
            f'<span class="hub-meter" aria-hidden="true"><span style="width:{100 * value:.1f}%"></span></span></li>'
        )
    kind = " hub-compact" if len(shown) >= COMPACT_FROM else ""
    if line is None:
        return f'<ol class="hub-labels{kind}">{rows}</ol>'
    above = sum(value >= line for value in values.values())
    told = f"{above} of {len(values)} at or above the line at {100 * line:.1f} %"
    return (
        f'<p class="hub-line-text"><span class="hub-line-key" aria-hidden="true"></span>{told}</p>'
        f'<ol class="hub-labels hub-lined{kind}" style="--hub-at:{100 * line:.2f}%">{rows}</ol>'
    )


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table of flat dicts; `colour` becomes a swatch, a column ending in `percent` a bar; `shown` false is pale."""
    if not rows:
        return '<p class="hub-idle">Nothing to list.</p>'
    columns = list(rows[0])
    head = "".join(f'<th scope="col">{escape(c.replace("_", " "))}</th>' for c in columns if c != "colour")
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
        return f"<td>{'yes' if value else 'no'}</td>"
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
    return f"<td>{swatch}{escape(str(value))}</td>"


def receipt(run: Receipt, id: str, seed: int | None, opened: bool = False) -> str:
    """What the result cost, stage by stage, and what it was made with."""
    stages = [
        ("Queue", run.queue_ms),
        ("Load", run.load_ms),
        ("Prepare", run.prepare_ms),
        ("Infer", run.infer_ms),
        ("Present", run.present_ms),
    ]
    times = "".join(f"<div><dt>{name}</dt><dd>{_ms(ms)}</dd></div>" for name, ms in stages)
    batch = "model not run again" if run.batch_size == 0 else f"batch of {run.batch_size}"
    facts = [
        ("Model", "cold" if run.cold else "warm"),
        ("Batch", batch),
        ("Device", f"{run.device}, {run.dtype}"),
        ("Weights", f"{run.weights} {run.digest[:12]}" if run.weights else "none"),
        ("Result", id[:12]),
    ]
    if seed is not None:
        facts.append(("Seed", str(seed)))
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    again = "<p>Times are of the run that made this result; it was kept and shown again.</p>" if run.cached else ""
    return f"""<details class="hub-receipt"{" open" * opened}>
<summary>Receipt <span>{_ms(run.total_ms)}</span></summary>
<dl class="hub-times">{times}</dl><dl>{rows}</dl>{again}</details>"""


def _ms(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.0f} ms" if ms >= 10 else f"{ms:.1f} ms"


def weights(facts: Iterable[WeightsFacts], several: bool = False) -> str:
    """The figures of the card in short: metrics as tiles, then size, digest and licence."""
    return "".join(_weights(f, several) for f in facts)


def _weights(facts: WeightsFacts, several: bool) -> str:
    title = f"<h3>{escape(facts.title)}</h3>" if several else ""  # of one set, the page's title says it
    if facts.reason:
        return f'<section class="hub-facts">{title}<p class="hub-note">{escape(facts.reason)}</p></section>'
    tiles = "".join(
        f"<div><dt>{escape(m.name)}</dt><dd>{m.value:.3g}</dd><span>{escape(m.dataset)}</span></div>"
        for m in facts.metrics
    )
    commit = f" · commit <code>{facts.commit[:12]}</code>" if facts.commit else ""
    checked = ", as locked" if facts.locked else ""
    tiles = f'<dl class="hub-tiles">{tiles}</dl>' if tiles else ""
    return f"""<section class="hub-facts">{title}{tiles}
<p><code>{escape(facts.name)}</code> · {escape(facts.source)}{commit} · {decimal(facts.size_bytes)} ·
sha256 <code>{facts.digest[:12]}</code>{checked} · licence: {escape(facts.licence)}</p></section>"""


def examples(slug: str, entries: Sequence[tuple[str | None, str]]) -> str:
    """Buttons that run an example in one click: (picture file or None, title)."""
    buttons = "".join(
        f'<button type="button" data-example="{number}" title="{escape(text)}">'
        + (f'<img src="{asset_url(slug, name)}" alt="" loading="lazy">' if name else "")
        + f"<span>{escape(text)}</span></button>"
        for number, (name, text) in enumerate(entries)
    )
    return f'<div class="hub-examples"><h2>Examples</h2><div>{buttons}</div></div>'


def not_found(problem: HubError, home: str) -> str:
    """A whole page for an address that is none."""
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Not found · Demo Hub</title>
<meta name="viewport" content="width=device-width,initial-scale=1"><style>:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:15vh auto;padding:0 1rem}}</style>
<h1>There is no such page</h1><p>{escape(problem.message)}</p><p><a href="{escape(home)}">All demos</a></p></html>"""
