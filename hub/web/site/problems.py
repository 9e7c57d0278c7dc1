"""The page for an address that is none: which demos may have been meant, by their titles."""

from __future__ import annotations

from hub.hub import Hub
from hub.suggest import near
from hub.texts import say
from hub.web.site.templates import draw_page

MOST = 6  # demos that are offered where none is near


def draw_unknown(hub: Hub, name: str, signed_in: str, home: str) -> str:
    """The page. `name`: what was asked for, in the place of a demo's name; `home`: the hub's root from there."""
    pages = hub.visible.pages
    titles = {text.lower(): slug for slug, page in pages.items() for text in (page.title, say(page.title), slug)}
    slugs = dict.fromkeys(titles[text] for text in near(name.replace("_", " ").lower()[:60], [*titles]))
    slugs |= dict.fromkeys(near(name[:60], [*pages]))
    is_near = bool(slugs)
    offered = [pages[slug] for slug in [*slugs][:MOST] or [*pages][:MOST]]
    message = say("Did you mean one of these?" if is_near else "These demos are here:") if offered else ""
    return draw_page(
        "problem.html", home=home, here=f"{home}r/", menu=hub.visible, title=say("There is no such page"),
        message=message, signed_in=signed_in, offered=offered,
    )  # fmt: skip
