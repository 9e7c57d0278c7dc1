"""`hub.show(DEMO)`: a page from a notebook or a script, without a file, by the habits of Gradio's `launch`."""

from __future__ import annotations

import asyncio
import atexit
import builtins
import re
import shutil
import sys
import tempfile
import threading
import webbrowser
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub.errors import DeclarationError, HubError, InputError
from hub.hub import Hub
from hub.pages import hints
from hub.pages.problems import problems
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.spec import Demo, Example, FileInput
from hub.web.parts import pieces

START_S = 60.0


@dataclass(frozen=True, slots=True)
class Shown:
    """A page that is served until `close()`, or until this process ends."""

    url: str
    hub: Hub

    def close(self) -> None:
        """Ends the hub, and with it all pages that were shown."""
        _end()

    def block(self) -> None:
        """Waits until the hub has ended, or for Ctrl-C."""
        try:
            while (served := _SERVED) is not None and served.thread.is_alive():
                served.thread.join(0.5)
        except KeyboardInterrupt:
            self.close()

    def __repr__(self) -> str:
        return f"Shown({self.url!r})"


def show(
    demo: Demo,
    name: str = "",
    *,
    inline: bool | None = None,
    inbrowser: bool = False,
    share: bool = False,
    server_name: str = "127.0.0.1",
    server_port: int = 0,
    width: str | int = "100%",
    height: int = 900,
    prevent_thread_lock: bool | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Shown:
    """Serves a page at `/<name>` (without one: its title), and in a notebook shows it below the cell.

    All that are shown in one process share a hub: the same name again is the page as it is now. What else a hub can be
    told (README's settings: `weights_folder="...", device="cuda"`), and where it is served, count for the first one.
    Pictures of examples are paths from the working directory. In a script it waits until Ctrl-C, unless
    `prevent_thread_lock`. Raises HubError.
    """
    slug = name or re.sub(r"[^a-z0-9]+", "_", demo.title.lower()).strip("_")[:40]
    in_notebook = _display() is not None
    with _SHOWING:
        served = _SERVED or _begin(server_name, server_port, share, settings)
        served.take(slug, demo)
    place = f"http://{'127.0.0.1' if server_name in ('', '0.0.0.0', '::') else server_name}:{served.port}"
    shown = Shown(f"{place}/{slug}", served.hub)
    if not quiet:
        print(f"* Running on local URL:  {shown.url}", flush=True)
    if inbrowser:
        webbrowser.open(shown.url)
    if in_notebook if inline is None else inline:
        _draw(shown.url, demo.title, width, height)
    if not (in_notebook or hasattr(sys, "ps1") if prevent_thread_lock is None else prevent_thread_lock):
        shown.block()
    return shown


class _Served:
    """The one hub of this process, in a thread of its own."""

    def __init__(self, hub: Hub, folder: Path, port: int):
        self.hub, self.folder, self.port = hub, folder, port
        self.thread = threading.Thread(target=self._run, name="hub", daemon=True)
        self.server: Any = None
        self._pages: Any = None
        self._count = 0
        self._ready = threading.Event()
        self._listener: Any = None

    def begin(self, listener: Any) -> None:
        """Serves on a socket that listens already. Raises HubError."""
        self._listener = listener
        self.thread.start()
        if not self._ready.wait(START_S) or self._pages is None:
            raise HubError("The hub did not start. Its log has the details.")

    def take(self, slug: str, demo: Demo) -> None:
        """The page is served from now on, in the place of an earlier one of this name. Raises DeclarationError."""
        from hub.web.gradio_ui import mount

        self._count += 1
        assets = self.folder / "assets" / slug
        # A cell that runs again may have changed a function: no answer of before is this one's.
        declared = replace(_with_pictures(demo, assets), version=f"{demo.version}-{self._count}")
        if faults := problems(slug, declared, assets):
            raise DeclarationError("This page is not valid. {faults}", faults=" ".join(faults))
        self.hub.take_pages({slug: Page(slug, "a notebook", assets, declared=declared)}, {slug})
        mount.redraw(self.hub, self._pages, {slug})

    def _run(self) -> None:
        from hub.web import server, serving

        async def build() -> Any:  # a loop of its own: a notebook's is at work already
            return server.build_app(self.hub)

        try:
            app = asyncio.run(build())
            self._pages = app.state.gradio_pages
            self.server = serving.Server(serving.configure_server(app), self.hub)
        finally:
            self._ready.set()
        self.server.run(sockets=[self._listener])


_SERVED: _Served | None = None
_SHOWING = threading.Lock()  # guards the one above


def _begin(host: str, port: int, share: bool, given: dict[str, Any]) -> _Served:
    global _SERVED
    from hub.cli import serve
    from hub.web import announce

    folder = Path(tempfile.mkdtemp(prefix="hub-show-"))
    try:
        # Functions of a notebook are in no file that another process could read.
        chosen = {"data": str(folder / "data"), **given, "workers": "0", "reload": False}
        settings = Settings(host=host, port=port, share=share, **chosen)
    except TypeError as error:
        raise InputError("{reason}. README lists the settings.", reason=error) from None
    listener = serve.listen(host, port)
    hub = Hub(settings, Registry())
    served = _Served(hub, folder, listener.getsockname()[1])
    served.begin(listener)
    _SERVED = served
    atexit.register(_end)
    if share:
        announce.announce(hub, served.port)
    return served


def _end() -> None:
    global _SERVED
    served, _SERVED = _SERVED, None
    if served is not None:
        atexit.unregister(_end)
        with suppress(HubError):  # torch is imported in a thread, and a process that ends meanwhile is aborted
            served.hub.models.machine(START_S)
        served.server.should_exit = True
        served.thread.join(START_S)
        shutil.rmtree(served.folder, ignore_errors=True)


def _with_pictures(demo: Demo, assets: Path) -> Demo:
    """The page with copies of its examples' pictures: of the folder that a notebook lies in nothing else is served."""
    names = {field.name for field in hints.with_hints(demo).inputs if isinstance(field, FileInput)}
    assets.mkdir(parents=True, exist_ok=True)
    examples = []
    for number, example in enumerate(demo.examples):
        values = dict(example.inputs)
        for name in names & values.keys():
            path = Path(str(values[name]))
            if path.is_file():
                values[name] = f"{number}_{name}{path.suffix.lower()}"
                shutil.copyfile(path, assets / values[name])
        examples.append(Example(values, example.title, example.picture))
    return replace(demo, examples=tuple(examples))


def _display() -> Any:
    """What shows things below a notebook's cell; None: this is no notebook."""
    shell = getattr(builtins, "get_ipython", None)
    return sys.modules.get("IPython.display") if shell is not None and hasattr(shell(), "kernel") else None


def _draw(url: str, title: str, width: str | int, height: int) -> None:
    display = _display()
    if display is not None:
        display.display(display.HTML(str(pieces.piece("embed", "in_notebook", url, title, width, height))))
