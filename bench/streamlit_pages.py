"""The hub's Streamlit page against a bare Streamlit app around the same function, eager models on both sides.

From the start of the process to a drawn page, and from a photo put on the page to its drawn answer. The hub's page has
a button to press, receipts, examples and a model card besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from bench.context import Bench, BenchError, Findings
from bench.figures import compare
from bench.inputs import photo
from bench.probes import timed_ms
from bench.processes import Server
from bench.streamlit_client import Session, elements, pressed
from hub.spec import ImageInput, Labels

WARM = 3


def measure(bench: Bench) -> Findings:
    pictures = [field for field in bench.demo.inputs if isinstance(field, ImageInput)]
    if len(pictures) != 1 or not any(isinstance(field, Labels) for field in bench.demo.outputs):
        raise BenchError(f"{bench.slug} does not take one picture and answer labels")
    servers, started = dict[str, Server](), dict[str, list[float]]()
    for name in ("hub", "bare"):
        bench.processes.wake_only()
        servers[name] = bench.hub("streamlit", backend="eager") if name == "hub" else bench.streamlit_app()
        started[name] = [_first_page(bench, servers[name])]
    taken: dict[str, list[list[float]]] = {name: [] for name in servers}
    for turn in range(bench.plan.rounds):
        for name, server in list(servers.items())[:: 1 if turn % 2 == 0 else -1]:
            bench.processes.wake_only(server)
            taken[name].append(_answers(bench, server, 1000 * (turn + 1)))
    bench.processes.stop(*servers.values())
    rows = (
        compare("streamlit.page", "first page drawn", "s", [started["hub"]], [started["bare"]], "bare Streamlit app"),
        compare("streamlit.answer", "a photo's answer", "ms", taken["hub"], taken["bare"], "bare Streamlit app"),
    )
    return Findings(rows, {})


def _first_page(bench: Bench, server: Server) -> float:
    """Seconds from the start of its process to the first page drawn."""
    base = "/streamlit" if server.name == "hub" else ""
    began = server.wait(f"{base}/_stcore/health")
    with _open(bench, server) as session:
        return began + timed_ms(session.run) / 1000


def _open(bench: Bench, server: Server) -> Session:
    return Session(server.port, "/streamlit", bench.slug) if server.name == "hub" else Session(server.port)


def _answers(bench: Bench, server: Server, number: int) -> list[float]:
    """Milliseconds of one photo after another."""
    with _open(bench, server) as session:
        page = session.run()
        uploader = elements(page, "file_uploader")[0].id
        buttons = [button.id for button in elements(page, "button") if "FormSubmitter" in button.id][:1]

        seen = set(_drawn(page))

        def answer(picture: bytes) -> None:
            state = session.upload(uploader, picture)
            done = session.run(
                state, *map(pressed, buttons), until=lambda message: not seen.issuperset(_drawn([message]))
            )
            seen.update(_drawn(done))

        for warm in range(WARM):
            answer(photo(number + warm))
        rest = [photo(number + WARM + n) for n in range(bench.plan.gradio_calls)]
        return [timed_ms(lambda picture=picture: answer(picture)) for picture in rest]  # type: ignore[misc]


def _drawn(messages: Sequence[ForwardMsg]) -> list[bytes]:
    """Probabilities as they were drawn: no two photos have the same, so an older answer is not taken for one."""
    return [one.SerializeToString() for kind in ("vega_lite_chart", "json") for one in elements(messages, kind)]
