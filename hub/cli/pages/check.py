"""`python -m hub check`: holds one page to the contract, and says what its author would want to know."""

from __future__ import annotations

import argparse
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rich.filesize import decimal
from rich.markup import escape

from hub.cli.show import console
from hub.contract.answers import BrokenError
from hub.contract.rules import RULES, Case, run_alone
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.pages.registry import Page
from hub.settings import Settings
from hub.texts import CHINESE
from hub.weights import facts

HELP = "Hold one page to the contract that all pages keep, and say what is wrong with it."
UNTOLD = 5  # texts without a translation that are named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The page."""
    parser.add_argument("page", help="its file, such as demos/my_demo.py, or its name")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Checks the page; 1 where a rule is broken."""
    given = Path(args.page)
    if given.suffix == ".py":
        if not given.is_file():
            raise InputError("There is no file {path}.", path=given)
        settings = replace(settings, demos_folder=str(given.parent.resolve()))
    slug = given.stem
    # A folder of its own: no answer of an earlier file is taken for this one's.
    with tempfile.TemporaryDirectory(prefix="hub-check-") as data:
        weights, hub_folder = settings.weights_folder, settings.hub_folder or str(settings.hub_cache)
        here = replace(settings, demos=slug, data=data, weights_folder=weights, hub_folder=hub_folder, similar="off")
        hub = Hub(here)
        try:
            return _check(hub, hub.registry.get(slug))
        finally:
            hub.close()


def _check(hub: Hub, page: Page) -> int:
    out = console()
    if page.declared is None:
        out.print(f"[bold red]BAD[/]   The declaration is whole\n      {escape(page.error)}")
        return 1
    demo = page.demo
    out.print(f"[bold]{escape(demo.title)}[/] ({escape(demo.task)}), {escape(page.source)}\n")
    out.print("[green]ok[/]    The declaration is whole")
    broken = 0
    names: list[str | None] = [one.name for one in demo.weights]
    for weights in names or [None]:
        if len(demo.weights) > 1:
            out.print(f"\nWith the weights {escape(str(weights))}:")
        case = Case(hub, page, weights)
        try:
            if weights:
                hub.weights.obtain(weights)
        except HubError as error:
            out.print(f"[yellow]skip[/]  Its weights are not here: {escape(error.message)}")
            continue
        broken += sum(not _keeps(case, title) for title in RULES)
        _tell(case)
    _advise(hub, page)
    out.print("\nEverything holds." if not broken else f"\n{broken} rule{'s' * (broken != 1)} broken.")
    return 1 if broken else 0


def _keeps(case: Case, title: str) -> bool:
    """Tries one rule and prints what came of it."""
    try:
        words = RULES[title](case)
    except (BrokenError, HubError) as error:
        why = str(error)
    except Exception as error:  # whatever the page's own code raises is what is wrong with it
        frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == case.page.source]
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        why = f"{type(error).__name__}: {error}{where}"
    else:
        console().print(f"[green]ok[/]    {title}[dim]{escape(f': {words}' if words else '')}[/]")
        return True
    console().print(f"[bold red]BAD[/]   {title}\n      {escape(why)}")
    return False


def _tell(case: Case) -> None:
    """What a run costs, and what it says."""
    result = run_alone(case)
    if result is None:
        return
    paid = result.receipt
    loads = [one.receipt.load_ms for one in case.results if one.receipt.cold]
    parts = f"prepare {paid.prepare_ms:.0f}, infer {paid.infer_ms:.0f}, present {paid.present_ms:.0f} ms"
    out = console()
    out.print(f"\n[dim]A run, 640 x 480[/]  {parts} on {escape(paid.device)} in {paid.dtype}")
    if loads and case.weights:
        (fact,) = [f for f in facts.weights_facts(case.hub.weights, case.page) if f.name == case.weights]
        size, licence = decimal(fact.size_bytes), fact.licence or "no licence stated"
        out.print(f"[dim]Weights[/]           {size}, loaded in {loads[0]:.0f} ms, {escape(licence)}")
    if result.headline:
        out.print(f"[dim]Headline[/]          {escape(result.headline)}")


def _advise(hub: Hub, page: Page) -> None:
    """What makes it better and is no rule."""
    lines = [*_advice(hub, page)]
    if lines:
        console().print("\nWould make it better:")
    for line in lines:
        console().print(f"  - {escape(line)}")


def _advice(hub: Hub, page: Page) -> Iterator[str]:
    demo = page.demo
    if not demo.examples:
        yield "Example: a page with examples opens with an answer, and runs in one click."
    if demo.headline is None:
        yield "headline: the answer in a few plain words; without one the hub makes it of the outputs."
    if page.cover is None:
        yield f"A picture for the gallery: {page.card_path()}, or `cover`."
    texts = [demo.title, demo.summary, *(t for f in (*demo.inputs, *demo.outputs) for t in (f.label, f.help))]
    untold = [t for t in dict.fromkeys(filter(None, texts)) if t not in hub.texts[CHINESE].texts]
    if untold:
        named = ", ".join(repr(text) for text in untold[:UNTOLD])
        more = f" and {len(untold) - UNTOLD} more" if len(untold) > UNTOLD else ""
        yield f"{page.assets / f'{CHINESE}.toml'}: {len(untold)} texts have no Chinese words: {named}{more}."
