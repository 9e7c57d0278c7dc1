"""Memory of one hub with all pages warm, against one bare Gradio process a page, each with its model warm.

The hub's worker processes count with it, and so do the faster forms of its models beside the eager ones. RSS counts
shared libraries in every process that maps them, PSS shares them out. Each side is measured while the other is not
running; other programs that map the same libraries would lower the PSS of both.
"""

from __future__ import annotations

from bench.client import gradio_call
from bench.context import Bench, Findings
from bench.figures import compare
from bench.forms import settle
from bench.inputs import asides, values
from bench.processes import Server


def measure(bench: Bench) -> Findings:
    slugs = list(bench.registry.pages)
    ours, theirs = list[tuple[float, float | None]](), list[tuple[float, float | None]]()
    each: dict[str, float] = {}

    def hub() -> None:
        server = bench.hub("memory")
        server.wait()
        for slug in slugs:
            _warm(bench, server, slug)
            settle(bench, server, slug)
        ours.append(server.memory_mb())
        bench.processes.stop(server)

    def bare() -> None:
        servers = {slug: bench.gradio_page(slug) for slug in slugs}
        for slug, server in servers.items():
            server.wait()
            _warm(bench, server, slug)
        found = {slug: server.memory_mb() for slug, server in servers.items()}
        each.update({slug: round(rss, 1) for slug, (rss, _) in found.items()})
        pss = [p for _, p in found.values() if p is not None]
        theirs.append((sum(rss for rss, _ in found.values()), sum(pss) if len(pss) == len(found) else None))
        bench.processes.stop(*servers.values())

    for number in range(bench.plan.memory_rounds):
        for turn in (hub, bare) if number % 2 == 0 else (bare, hub):
            turn()
    what, name = f"all {len(slugs)} pages warm", f"{len(slugs)} bare processes"
    rows = [compare("memory.rss", f"RSS, {what}", "MB", [[rss] for rss, _ in ours], [[rss] for rss, _ in theirs], name)]
    our_pss, their_pss = [[p] for _, p in ours if p], [[p] for _, p in theirs if p]
    if len(our_pss) == len(their_pss) == bench.plan.memory_rounds:
        rows.append(compare("memory.pss", f"PSS, {what}", "MB", our_pss, their_pss, name))
    return Findings(tuple(rows), {"bare_rss_mb": each})


def _warm(bench: Bench, server: Server, slug: str) -> None:
    demo = bench.registry.get(slug).demo
    extra = bench.chosen_weights(slug) if server.name == "hub" else []
    # The hub's endpoints ask last for what gradio_client does not get, as programs count what was there before.
    last_ones = asides(demo) if server.name == "hub" else set()
    with server.http() as http:
        for number in range(bench.plan.memory_requests):
            given = values(demo, number)
            last = [given.pop(name) for name in [*given] if name in last_ones]
            gradio_call(http, slug, [*given.values(), *extra, *last])
