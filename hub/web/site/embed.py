"""A page on other websites: the snippets, the script of the web component, and where pages are."""

from __future__ import annotations

from html import escape
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hub.hub import Hub
from hub.pages.registry import Page
from hub.texts import say
from hub.web.middleware import addresses
from hub.web.parts import qr

SCRIPT = Path(__file__).parents[1] / "templates" / "embed.js"
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

    async def script(request: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=3600", "Access-Control-Allow-Origin": "*"}
        return Response(SCRIPT.read_text(encoding="utf-8"), media_type="text/javascript", headers=headers)

    async def sitemap(request: Request) -> Response:
        return Response(site_map(hub, addresses.base(hub.settings, request)), media_type="application/xml")

    return [Route("/embed.js", script), Route("/sitemap.xml", sitemap)]


def site_map(hub: Hub, base: str) -> str:
    """The home page and every working page, as sitemaps.org has it."""
    pages = ["", *(page.slug for page in hub.registry if page.declared)]
    places = "".join(f"<url><loc>{escape(f'{base}/{slug}')}</loc></url>" for slug in pages)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{places}</urlset>'
    )


# --- what the page tells --------------------------------------------------------------------------


def iframe(page: Page, base: str) -> str:
    """A frame of a fixed height, for sites that allow no scripts."""
    title, url = escape(page.title), escape(f"{base}/{page.slug}")
    return (
        f'<iframe src="{url}" title="{title}" width="100%" height="900" style="border:0" loading="lazy" '
        'allow="camera; clipboard-write"></iframe>'
    )


def component(page: Page, base: str) -> str:
    """The web component: a frame as high as the page."""
    title, url = escape(page.title), escape(f"{base}/{page.slug}")
    return (
        f'<script src="{escape(base)}/embed.js" async></script>\n'
        f'<demo-hub-page src="{url}" title="{title}"></demo-hub-page>'
    )


def panel(page: Page, base: str, reached: str) -> str:
    """Address, QR code and snippets. `reached`: where others reach the hub; empty: nowhere, which it says."""
    url = f"{reached or base}/{page.slug}"
    code = f'<figure class="hub-code">{qr.svg(url)}<figcaption>{say("Open it on a phone")}</figcaption></figure>'
    note = "" if reached else f'<p class="hub-help">{say(ONLY_HERE)}</p>'
    address = _field("Address", f'<input readonly aria-label="{say("Address")}" value="{escape(url)}">')
    snippets = "".join(
        _field(title, f'<textarea readonly rows="3" aria-label="{say(title)}">{escape(text)}</textarea>')
        for title, text in (
            ("In a website, as high as the page", component(page, reached or base)),
            ("In a website that allows no scripts", iframe(page, reached or base)),
        )
    )
    return f'<div class="hub-live-link">{code if reached else ""}<div>{address}{note}{snippets}</div></div>'


def _field(title: str, control: str) -> str:
    button = f'<button type="button" data-copy data-done="{say("Copied")}">{say("Copy")}</button>'
    return f'<div class="hub-copy"><h3>{say(title)}</h3>{control}{button}</div>'
