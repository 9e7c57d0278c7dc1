"""A page on other websites: the snippets, the script of the web component, and where pages are."""

from __future__ import annotations

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.hub import Hub
from hub.pages.registry import Page
from hub.web.middleware import addresses
from hub.web.parts import qr
from hub.web.parts.pieces import piece, script

ONLY_HERE = (
    "Only this machine can open this address. To let others in, start the hub with <code>--host 0.0.0.0</code> (your "
    "network), <code>--share</code> (a public link) or <code>--public-url</code> (behind your own proxy)."
)
COPY = """element.addEventListener('click', async (event) => {
  const button = event.target.closest('button[data-copy]');
  if (!button) return;
  const field = button.parentElement.querySelector('textarea, input');
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand('copy'); }
  button.textContent = button.dataset.done;
});"""


def routes(hub: Hub) -> list[BaseRoute]:
    """The component's script, and the list of pages for search engines."""

    async def component_script(request: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
        return Response(script("files/embed.js"), media_type="text/javascript", headers=headers)

    async def sitemap(request: Request) -> Response:
        return Response(site_map(hub, addresses.base(hub.settings, request)), media_type="application/xml")

    return [Route("/embed.js", component_script), Route("/sitemap.xml", sitemap)]


def site_map(hub: Hub, base: str) -> str:
    """The home page and every working page, as sitemaps.org has it."""
    slugs = ["", *(page.slug for page in hub.visible if page.declared)]
    return piece("embed", "site_map", [f"{base}/{slug}" for slug in slugs])


# --- what the page tells --------------------------------------------------------------------------


def iframe(page: Page, base: str) -> Markup:
    """A frame of a fixed height, for sites that allow no scripts."""
    return piece("embed", "iframe", f"{base}/{page.slug}", page.title)


def component(page: Page, base: str) -> Markup:
    """The web component: a frame as high as the page."""
    return piece("embed", "component", base, f"{base}/{page.slug}", page.title)


def panel(page: Page, base: str, reached: str) -> Markup:
    """Address, QR code and snippets. `reached`: where others reach the hub; empty: nowhere, which it says."""
    url = f"{reached or base}/{page.slug}"
    snippets = (
        ("In a website, as high as the page", component(page, reached or base)),
        ("In a website that allows no scripts", iframe(page, reached or base)),
    )
    return piece("embed", "panel", url, qr.svg(url) if reached else "", ONLY_HERE, snippets)
