"""Which form of each page's networks the hub chose on this machine, before anything is timed.

A hub that starts for the first time answers with eager models while it makes faster forms in the background, measures
them and keeps what it found in its data folder. The bench lets one hub do that for all pages, and gives what it kept
to every hub that it starts: they are as on a second start. A form comes into use some moments after the first answer.
"""

from __future__ import annotations

import json
import time
from itertools import count

from bench.client import Http
from bench.context import CHOOSES, Bench, Findings
from bench.probes import ask, body_of
from bench.processes import Server

EAGER = "eager"
NUMBERS = count(900_000)  # of inputs that no part uses
CHOICE_S, CHANGE_S, APART_S = 60.0, 20.0, 0.5
SURE = 4  # answers one after the other: more than one process may answer


def choose(bench: Bench) -> Findings:
    """Fills `bench.forms`, and the folder whose files new hubs get."""
    if not CHOOSES or bench.plan.name == "smoke" or bench.device != "cpu":
        return Findings((), {})
    server = bench.hub("first-start")
    server.wait()
    for slug in bench.registry.pages:
        bench.forms[slug] = _await_form(bench, server, slug, "", CHOICE_S)
    bench.processes.stop(server)
    bench.keep("first-start")
    return Findings((), {"chosen": dict(bench.forms)})


def settle(bench: Bench, server: Server, slug: str) -> None:
    """Until the page runs in the form that was chosen for it."""
    form = bench.forms.get(slug, EAGER)
    if form != EAGER:
        _await_form(bench, server, slug, form, CHANGE_S)


def _await_form(bench: Bench, server: Server, slug: str, form: str, patience_s: float) -> str:
    """The form of several answers in a row: `form`, or any but eager; eager after so long."""
    end, same = time.monotonic() + patience_s, 0
    with server.http() as http:
        while time.monotonic() < end:
            given = _form(bench, http, slug)
            same = same + 1 if given == form or (not form and given != EAGER) else 0
            if same == SURE:
                return given
            time.sleep(0 if same else APART_S)
    return EAGER


def _form(bench: Bench, http: Http, slug: str) -> str:
    short = {"steps": 4} if "steps" in {field.name for field in bench.registry.get(slug).demo.inputs} else {}
    answer = json.loads(ask(http, slug, body_of(bench, slug, next(NUMBERS), **short)))
    return str(answer["receipt"].get("backend", EAGER))
