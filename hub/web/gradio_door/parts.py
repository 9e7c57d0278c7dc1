"""Gradio's pages, each made when it is first asked for: one Blocks that is served, put together from parts.

`Blocks.route` makes Gradio's whole configuration and an app anew for each page, and every open page gets a copy of all
components: with a thousand pages the first takes hours, the second gigabytes. So each page is drawn in a Blocks of its
own, and joins the served one; what is sent of it is its own part, and an open page keeps what changed on it only. Who
asks for all (gradio_client: /config and /gradio_api/info) has the rest made first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import Context as Fresh
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import gradio as gr
from gradio.blocks import BlocksConfig
from gradio.context import Context, set_render_context
from gradio.exceptions import DuplicateBlockError

from hub.hub import Hub
from hub.people.users import Caller

V = TypeVar("V")
HOME = ""
TRIES = 5
KINDS = 16  # as which a page is kept drawn: for each language, and who sees other pages has another menu
# Gradio's place for the page that is being drawn is one for the whole process. Guards it, and all that a drawing adds.
_BUILDING = threading.Lock()
_asked: ContextVar[Sequence[str] | None] = ContextVar("asked", default=None)  # what a request is about; None: all


@dataclass(slots=True)
class Part:
    """One page: what draws it, and once it is drawn its share of Gradio's configuration, by language."""

    name: str
    title: str
    draw: Callable[[gr.Blocks], None]
    config: dict[str, Any] = field(default_factory=dict)
    made: bool = False
    # By language, and by the pages that are named on it where that is not all.
    translated: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)


@contextmanager
def asked_for(*names: str) -> Iterator[None]:
    """Within, the configuration is that of these pages."""
    before = _asked.set(names)
    try:
        yield
    finally:
        _asked.reset(before)


class Parts:
    """All pages of one served Blocks; whoever asks finds those that they may see."""

    def __init__(self, hub: Hub, served: gr.Blocks, parts: Collection[Part]):
        self._hub, self._served = hub, served
        self._parts = {part.name: part for part in parts}
        served.default_config = _Shared(served)

    @property
    def names(self) -> Collection[str]:
        if not self.is_short:
            return self._parts.keys()
        there, all_pages = self._hub.visible.pages, self._hub.registry.pages
        return [name for name in self._parts if name in there or name not in all_pages]

    @property
    def shown(self) -> list[str]:
        """The slugs of the pages that whoever asks may see."""
        return [*self._hub.visible.pages]

    @property
    def has_rules(self) -> bool:
        """Whether who looks decides what is shown: then nothing that was drawn for nobody is."""
        return bool(self._hub.seen.rights.rules.rules)

    @property
    def is_short(self) -> bool:
        """Whether pages are kept from whoever asks."""
        return self._hub.visible is not self._hub.registry

    def sees_endpoint(self, name: str) -> bool:
        """Whether whoever asks may know of an endpoint of gradio_client: that of a page that they see."""
        slug = name if name in self._hub.registry.pages else name.removesuffix("_compare")
        return slug in self._hub.visible.pages

    def check(self, name: str, who: Caller | None) -> None:
        """Raises NotFoundError for a page that this caller does not see."""
        if name in self._hub.registry.pages:
            self._hub.seen.by(who).get(name)

    def is_made(self, name: str) -> bool:
        return self._parts[name].made

    def make(self, name: str) -> Part:
        """The page of this name, drawn. From any thread; takes some milliseconds the first time."""
        part = self._parts[name]
        if not part.made:
            with _BUILDING:
                if not part.made:
                    Fresh().run(self._build, part)  # as at the start: nobody's language, nobody's request
        return part

    def put(self, part: Part) -> None:
        """A page to be drawn for what had its name, of which open pages may still ask until they are loaded again."""
        with _BUILDING:
            before = self._parts.get(part.name)
            self._parts[part.name] = part
            for event in before.config.get("dependencies", ()) if before is not None else ():
                self._served.fns[event["id"]].api_name = False  # gradio_client's is the new one

    def remove(self, name: str) -> None:
        """A page that there is no more."""
        self._parts.pop(name, None)

    def asked(self) -> list[Part]:
        """The page that is asked for, or all."""
        names = _asked.get()
        return [self.make(name) for name in ([*self.names] if names is None else names)]

    def config(self, settings: dict[str, Any], share: Callable[[Part], dict[str, Any]]) -> dict[str, Any]:
        """Gradio's configuration of what is asked for: `settings`, and of each part what `share` says."""
        parts = self.asked()
        shares = [share(part) for part in parts]
        words: dict[str, Any] = {}
        for one in shares:
            for language, texts in (one.get("i18n_translations") or {}).items():
                words.setdefault(language, {}).update(texts)
        children = [child for one in shares for child in one["layout"]["children"]]
        return {
            **settings,
            "pages": [(HOME, "Home", True), *((p.name, p.title, False) for p in parts if p.name != HOME)],
            "page": {name: page for one in shares for name, page in one["page"].items()},
            "components": [component for one in shares for component in one["components"]],
            "dependencies": [event for one in shares for event in one["dependencies"]],
            "layout": {"id": self._served._id, "children": children},
            # Gradio would keep a stream open as long as a page is, because of live cameras. A browser opens six
            # connections to one host, so the seventh tab would wait for ever. A page's own events tell well enough
            # that it has gone.
            "connect_heartbeat": False,
            "i18n_translations": words or None,
        }

    def _build(self, part: Part) -> None:
        for last in (False,) * (TRIES - 1) + (True,):
            drawn = _DrawnPart(title=self._served.title, analytics_enabled=False)
            drawn._id = self._served._id  # so that a page's load event is the served one's
            drawn.current_page, drawn.pages = part.name, [(part.name, part.title, False)]
            drawn.default_config.fn_id = self._served.default_config.fn_id
            try:
                with drawn:
                    part.draw(drawn)
            except DuplicateBlockError:
                if last:
                    raise
                continue
            # An event that makes a component meanwhile counts the same numbers, and so may give one twice.
            if last or self._served.blocks.keys().isdisjoint(drawn.blocks):
                break
        config = drawn.default_config.get_config()
        self._served.blocks.update(drawn.blocks)
        self._served.fns.update(drawn.fns)
        self._served.default_config.fn_id = drawn.default_config.fn_id
        self._served.temp_file_sets.extend(drawn.temp_file_sets)
        part.config, part.made = dict(config), True


class _Growing(dict[int, V]):
    """A dict that may grow while others go through its values."""

    def values(self) -> Any:
        return [*super().values()]

    def items(self) -> Any:
        return [*super().items()]


class _Changed(dict[int, Any]):
    """What one open page changed of components that all share: its items are its own only, and it finds all."""

    def __init__(self, shared: dict[int, Any]):
        super().__init__()
        self._shared = shared

    def __missing__(self, key: int) -> Any:
        return self._shared[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._shared

    def get(self, key: int, default: Any = None) -> Any:
        return super().get(key, self._shared.get(key, default))


class _Shared(BlocksConfig):  # type: ignore[misc]  # Gradio has no types here
    """The components and events of all pages that are made. Its copy is an open page's."""

    def __init__(self, served: gr.Blocks):
        super().__init__(served)
        self.blocks, self.fns = _Growing[Any](), _Growing[Any]()

    def __copy__(self) -> BlocksConfig:
        one = BlocksConfig(self.root_block)
        one.blocks, one.fns, one.fn_id = _Changed(self.blocks), self.fns, self.fn_id
        return one

    def get_config(self, renderable: Any = None) -> dict[str, Any]:
        """Of no page: Gradio asks for all whenever a setting changes."""
        return {"page": {}, "components": [], "dependencies": [], "layout": {"id": self.root_block._id, "children": []}}


def _no_queue(self: Any, *arguments: Any, **named: Any) -> Any:
    """The served Blocks has it; making one makes an app, too."""
    return self


def _leave(self: Any, kind: type[BaseException] | None = None, *rest: Any) -> None:
    """As Gradio's, which then makes the configuration and an app, for what is not served by itself."""
    if kind is None:
        self.fill_expected_parents()
        set_render_context(self.parent)
        self.default_config.attach_load_events()
    set_render_context(None)
    Context.root_block = None


# Made past Gradio's own metaclass, which would write a .pyi file at every start.
_DrawnPart: type[gr.Blocks] = type.__new__(
    type(gr.Blocks), "DrawnPart", (gr.Blocks,), {"__module__": __name__, "queue": _no_queue, "__exit__": _leave}
)
