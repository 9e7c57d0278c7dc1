"""Prints at the start who else can reach this hub, with a QR code; opens the public Gradio tunnel."""

from __future__ import annotations

import os
import secrets
import sys
import threading
from urllib.parse import urlsplit

from hub.errors import UnavailableError
from hub.hub import Hub
from hub.settings import Settings
from hub.web.middleware import addresses
from hub.web.parts import qr


def announce(hub: Hub, port: int) -> None:
    """Prints where the hub is and who can reach it. Opens the tunnel, if asked to, while the hub serves already."""
    settings = hub.settings
    place = "127.0.0.1" if settings.host in addresses.EVERY_PLACE else settings.host
    local = f"http://{place}:{port}"
    print(f"Demo Hub: {local}", flush=True)
    open_to_network = not addresses.is_loopback(place) or settings.host in addresses.EVERY_PLACE
    if (open_to_network or settings.public_url) and "SPACE_ID" not in os.environ:
        print("".join(f"{line}\n" for line in advice(settings)), end="", flush=True)
    reached = settings.public_url or addresses.network(settings, port)
    if reached and reached != local:
        print(f"From other machines: {reached}", flush=True)
    if reached:
        _show_code(reached)
    if settings.share:
        work = threading.Thread(target=_share, args=(hub, place, port, local), name="share", daemon=True)
        work.start()


def _share(hub: Hub, place: str, port: int, local: str) -> None:
    print("Opening a public link (--share) ...", flush=True)
    try:
        url = tunnel(place, port)
    except UnavailableError as error:
        print(f"{error.message} The hub goes on at {local}, without a public link.", file=sys.stderr, flush=True)
        return
    # Links made from now on are for those who were given this address, also where they are made on this machine.
    hub.opened_at(url, urlsplit(url).netloc)
    print("\n".join(exposes(url, hub.settings)), flush=True)
    _show_code(url)


def exposes(url: str, settings: Settings) -> list[str]:
    """What a public link opens to whoever has it."""
    password = "who can also sign in" if settings.asks else "without a password"
    return [
        f"PUBLIC LINK: {url}",
        f"  This hub is now on the internet, for anyone who has or guesses the link, {password}:",
        "  all its pages, REST, MCP and gradio_client, which run models on this machine; and shared results, for those",
        "  who have their links. Uploads pass through Gradio's servers. It ends when the hub stops, or after a week.",
        *(f"  {line}" for line in advice(settings)),
    ]


def advice(settings: Settings) -> list[str]:
    """What a hub that others can reach had better be started with, and was not."""
    lines = []
    if not settings.asks:
        lines += [
            "EVERYONE who can reach this hub can use all of it. --auth USER:PASSWORD asks for a password; for several",
            "people with roles, and for links that end: python -m hub users, python -m hub tokens.",
        ]
    elif settings.auth and not settings.public_url.startswith("https:"):
        lines.append("Passwords travel unencrypted over http. Put https in front of the hub: --public-url https://...")
    if not settings.rate_limit and not settings.quota:
        lines.append("Each may run as much as they like: --rate-limit 60/minute and --quota 500/day set an end to it.")
    return lines


def tunnel(host: str, port: int) -> str:
    """Opens the tunnel and returns its address. Raises UnavailableError when there is no way out."""
    from gradio.networking import setup_tunnel

    try:
        return str(setup_tunnel(host, port, secrets.token_urlsafe(32), None, None))
    # Gradio raises its HTTP client's own errors here, which have no base in common with the others.
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise UnavailableError("No public link: {reason}. --share needs internet access.", reason=reason) from None


def _show_code(url: str) -> None:
    """For a phone's camera; a log file gets none."""
    if sys.stdout.isatty():
        print(qr.terminal(url), flush=True)
