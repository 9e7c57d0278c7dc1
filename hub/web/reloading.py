"""`--reload`: a page whose file was saved takes the place of what it was, on every door, while the hub serves."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from hub.hub import Hub
from hub.web.routes import API, json_answer, routes_of
from hub.weights.again import loading_code, read_again

log = logging.getLogger(__name__)
SETTLE_S = 0.15  # editors save in several steps
SAVES = ("created", "modified", "moved", "deleted", "closed")


class Reloading(FileSystemEventHandler):
    """Watches the folder of pages. `redraw(slugs)` hears of pages that are others now, when the hub has them."""

    def __init__(self, hub: Hub, redraw: Callable[[Collection[str]], None]):
        self._hub, self._redraw = hub, redraw
        self._folder = hub.settings.pages_folder.resolve()
        self._only = hub.settings.only()
        self._loading = {path.stem: loading_code(path) for path in self._folder.glob("*.py")}
        # Guards the two below, and wakes the thread; taken alone.
        self._changed = threading.Condition()
        self._saved: dict[str, float] = {}  # when, by slug
        self._closed = False
        self._taken: dict[str, float] = {}  # when a page was read again last
        self._observer = self._observe()
        threading.Thread(target=self._work, name="reload", daemon=True).start()
        log.info("pages in %s are read again when they are saved", self._folder)

    def routes(self) -> list[BaseRoute]:
        """Where open pages ask whether they are older than what was saved: seconds since then, by page."""

        async def ages(request: Request) -> Response:
            now = time.monotonic()
            return json_answer({slug: round(now - at, 3) for slug, at in [*self._taken.items()]})

        return routes_of({f"{API}/reloads": {"GET": ages}}, "reloads")

    def close(self) -> None:
        """Watches no more."""
        self._observer.stop()
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Called by the observer's thread."""
        if event.is_directory or event.event_type not in SAVES:
            return
        slugs = {self._slug_of(str(path)) for path in (event.src_path, event.dest_path) if path} - {""}
        if slugs:
            with self._changed:
                self._saved.update(dict.fromkeys(slugs, time.monotonic()))
                self._changed.notify_all()

    def _observe(self) -> BaseObserver:
        for kind in (Observer, PollingObserver):
            observer = kind()
            observer.schedule(self, str(self._folder), recursive=True)
            try:
                observer.start()
            except OSError as error:  # the system watches no more files, or none on this disk
                log.warning("the folder of pages is looked through again and again: %s", error)
                continue
            return observer
        raise AssertionError("polling needs nothing of the system")

    def _slug_of(self, path: str) -> str:
        """The page that a file belongs to; empty: none."""
        try:
            parts = Path(path).resolve().relative_to(self._folder).parts
        except ValueError:
            return ""
        if len(parts) == 1 and parts[0].endswith(".py") and not parts[0].startswith(("_", ".")):
            slug = parts[0].removesuffix(".py")
        else:
            slug = parts[1] if len(parts) > 2 and parts[0] == "assets" else ""
        known = slug in self._hub.registry.pages or (self._folder / f"{slug}.py").is_file()
        return slug if known and (not self._only or slug in self._only) else ""

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._closed and not self._saved:
                    self._changed.wait()
                if self._closed:
                    return
                rests_s = max(self._saved.values()) + SETTLE_S - time.monotonic()
                if rests_s > 0:
                    self._changed.wait(rests_s)
                    continue
                slugs = sorted(self._saved)
                self._saved.clear()
            try:
                self._take(slugs)
            except Exception:  # the next save must be heard of, whatever this one was
                log.exception("pages were not read again: %s", ", ".join(slugs))

    def _take(self, slugs: Iterable[str]) -> None:
        begin = time.perf_counter()
        before = {*self._hub.registry.pages}
        read = read_again(self._hub.settings, self._hub.weights, [*slugs])
        pages = {slug: page for slug, page in read.items() if page is not None or slug in before}
        stale = {slug for slug in pages if self._is_stale(slug)}
        self._hub.take_pages(pages, stale)
        self._redraw(pages)
        self._taken.update(dict.fromkeys(pages, time.monotonic()))
        for slug, page in pages.items():
            what = "is gone" if page is None else page.error or "is served as it was saved"
            model = ", its model is loaded anew" if slug in stale else ""
            log.info("/%s %s%s (%.0f ms)", slug, what, model, (time.perf_counter() - begin) * 1000)

    def _is_stale(self, slug: str) -> bool:
        """Whether the model in memory is made by other code than the file has; of a broken file that is not asked."""
        path = self._folder / f"{slug}.py"
        now, before = loading_code(path), self._loading.get(slug)
        if now is None and path.is_file():
            return False
        self._loading[slug] = now
        return before is not None and now != before
