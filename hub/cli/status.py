"""Commands that ask a running hub about its memory, and change it: `status | load | pin | unpin | unload`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from hub.cli.show import console, print_json
from hub.errors import HubError, InputError, NotFoundError, UnavailableError
from hub.pages.registry import discover
from hub.settings import Settings
from hub.weights.store import open_store

HELP = {
    "load": "Load a page's model into a running hub's memory, ahead of use.",
    "pin": "Keep a page's model in a running hub's memory; loads it if need be.",
    "unpin": "Let a pinned model leave a running hub's memory again.",
    "unload": "Drop a page's model from a running hub's memory.",
}
LOAD_S = 600  # a large model from a slow disk


def add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url", help="address of the hub (default: http://127.0.0.1:7860, or as --host and --port say)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("page", metavar="PAGE[/WEIGHTS]", help="slug of a page; with the name of one of its weights")
    add_address(parser)


def status(args: argparse.Namespace, settings: Settings) -> int:
    """What a running hub holds in memory; without one, what this machine would use."""
    url = _address(args, settings)
    answer = _ask("GET", f"{url}/api/v1/status", settings)
    if answer is not None and not isinstance(answer.get("pool"), dict):
        raise _stranger(url)
    machine = _machine(settings) if answer is None else None
    if args.json:
        document = (
            {"running": True, "url": url, **answer} if answer else {"running": False, "url": url, "machine": machine}
        )
        print_json(document)
        return 0
    out = console()
    if answer is not None:
        _show_running(out, url, answer)
    elif machine is not None:
        out.print(f"No hub answers at {url}. Start one: make serve", soft_wrap=True, markup=False)
        out.print(f"This machine would use {machine['device']} in {machine['dtype']}, ", end="")
        out.print(f"and at most {decimal(machine['budget_bytes'])} for models.")
        _show_models(out, machine["models"])
    return 0


def change(args: argparse.Namespace, settings: Settings, action: str) -> int:
    """Loads, pins, unpins or unloads one model of a running hub."""
    url = _address(args, settings)
    slug, _, weights = args.page.partition("/")
    wish = {"demo": slug, "action": action, **({"weights": weights} if weights else {})}
    answer = _ask("POST", f"{url}/api/v1/models", settings, wish)
    if answer is None:
        raise UnavailableError("No hub answers at {url}. Start one: make serve", url=url)
    if args.json:
        print_json(answer)
        return 0
    name = f"{answer['demo']}/{answer['weights']}" if answer["weights"] else answer["demo"]
    how = f", {decimal(answer['bytes'])}" if answer["state"] == "ready" else ""
    console().print(f"{name}: {_state(answer)}{how}", soft_wrap=True, markup=False)
    return 0


def _address(args: argparse.Namespace, settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host
    return str(args.url or f"http://{host}:{settings.port}").rstrip("/")


def _ask(method: str, url: str, settings: Settings, body: dict[str, str] | None = None) -> dict[str, Any] | None:
    """A hub's answer; None when nothing listens there. Raises HubError with the hub's own words."""
    import httpx

    from hub.cli.remote_hub import credentials

    headers = credentials(settings.auth)
    try:
        answer = httpx.request(method, url, json=body, timeout=LOAD_S if body else 10, headers=headers)
    except httpx.ConnectError:
        return None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnavailableError(
            "{url} cannot be asked: {kind}: {reason}", url=url, kind=type(error).__name__, reason=error
        ) from None
    if answer.status_code == 401:
        raise UnavailableError(
            "The hub at {url} asks who you are; give --auth USER:PASSWORD or --auth TOKEN, or set HUB_AUTH.", url=url
        )
    try:
        document = answer.json()
        if answer.status_code == 200 and isinstance(document, dict):
            return document
        kind = {404: NotFoundError, 422: InputError}.get(answer.status_code, HubError)
        raise kind(str(document["detail"]))
    except (ValueError, KeyError, TypeError):
        raise _stranger(url, answer.status_code) from None


def _stranger(url: str, status: int = 200) -> UnavailableError:
    return UnavailableError(
        "Something answers at {url} (status {status}), but it is not a Demo Hub.", url=url, status=status
    )


def _machine(settings: Settings) -> dict[str, Any]:
    from hub.execution.residency import Residency
    from hub.metrics import Metrics

    registry, store = open_store(settings, discover(settings.pages_folder))
    here = Residency(settings, registry, store, Metrics())
    machine = here.machine()
    return {
        "device": machine.device,
        "dtype": machine.dtype,
        "budget_bytes": machine.budget_bytes,
        "models": [asdict(one) for one in here.residents()],
    }


# --- for people -----------------------------------------------------------------------------------


def _show_running(out: Console, url: str, answer: dict[str, Any]) -> None:
    pool, results, queue = answer["pool"], answer["results"], answer["queue"]
    out.print(f"Hub at {url}: {answer['device']} in {answer['dtype']}, {queue['in_work']} of at most ", end="")
    out.print(f"{queue['limit']} requests in work")
    out.print(f"Models: {decimal(pool['used_bytes'])} of at most {decimal(pool['budget_bytes'])}; ", end="")
    out.print(f"the whole hub {decimal(answer['process_bytes'])}")
    _show_models(out, answer["models"])
    out.print(f"Results: {results['memory_results']} in memory ({decimal(results['memory_bytes'])}), ", end="")
    out.print(f"{results['disk_results']} on disk ({decimal(results['disk_bytes'])})")
    for warning in answer.get("warnings", ()):
        out.print(Text(warning, style="yellow"))


def _show_models(out: Console, models: list[dict[str, Any]]) -> None:
    """Every page's model; those in memory first, in the order in which they would leave."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("Model", "Size", "State", "In memory for", "Idle for", "Used by", "Leaves"):
        table.add_column(heading, overflow="fold")
    for one in models:
        name = f"{one['demo']}/{one['weights']}" if one["weights"] else one["demo"]
        ready = one["state"] == "ready"
        idle = "" if not ready else _duration(one["idle_for_s"]) if not one["leases"] else "in use"
        since = _duration(one["loaded_for_s"]) if ready else ""
        turn = "next" if one["leaves"] == 1 else f"{one['leaves']}." if one["leaves"] else ""
        style = "" if ready else "dim"
        cells = [name, _size(one), _state(one), since, idle, str(one["leases"] or ""), turn]
        table.add_row(*(Text(cell, style=style) for cell in cells))
    if models:
        out.print(table)


def _size(one: dict[str, Any]) -> str:
    if one["state"] == "missing" and not one["measured"]:
        return ""
    return decimal(one["bytes"]) + ("" if one["measured"] else " of files")


def _state(one: dict[str, Any]) -> str:
    words = {"ready": "in memory", "loading": "loading", "absent": "not in memory", "missing": str(one["reason"])}
    backend = f", {one['backend']}" if one.get("backend") else ""
    return words[one["state"]] + backend + (", pinned" if one["pinned"] else "")


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes:.0f} min" if minutes < 120 else f"{hours:.1f} h"
