"""The launcher: `python app.py` serves the hub. Also the entry point of a Hugging Face Space."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys

from hub import settings
from hub.errors import HubError


def main(arguments: list[str] | None = None) -> int:
    """Parses flags, builds the hub, serves until stopped. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="app.py", description="Serve a hub of live model demos.")
    settings.add_flags(parser)
    try:
        chosen = settings.from_flags(parser.parse_args(arguments), environment())
        logging.basicConfig(level=chosen.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        for noisy in ("httpx", "httpx2"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        if chosen.offline:
            settings.go_offline()  # before anything imports huggingface_hub
        return serve(chosen)
    except (HubError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def environment() -> dict[str, str]:
    """The environment, with what a Hugging Face Space needs where nothing else is said."""
    found = dict(os.environ)
    if "SPACE_ID" in found:
        found.setdefault("HUB_HOST", "0.0.0.0")
        if os.access("/data", os.W_OK):  # the Space's persistent storage
            found.setdefault("HUB_DATA", "/data/demo-hub")
    return found


def serve(chosen: settings.Settings) -> int:
    """Serves until stopped."""
    with listen(chosen.host, chosen.port) as listener:
        return serve_on(listener, chosen)


def serve_on(listener: socket.socket, chosen: settings.Settings) -> int:
    """Builds the hub and serves it on a socket that listens already."""
    import uvicorn

    from hub.engine import Engine
    from hub.web import server, share
    from hub.weights import fetch_ahead

    engine = Engine(chosen)
    fetch_ahead(engine.weights, engine.registry)
    app = server.build_app(engine)
    port = listener.getsockname()[1]
    place = "127.0.0.1" if chosen.host in ("0.0.0.0", "::", "") else chosen.host
    print(f"Demo Hub: http://{place}:{port}", flush=True)
    if chosen.host not in ("127.0.0.1", "localhost", "::1") and not chosen.auth and "SPACE_ID" not in os.environ:
        print("Everyone who can reach this machine can use it. --auth USER:PASSWORD asks for a password.", flush=True)
    if chosen.share:
        print(f"Public link: {share.tunnel(place, port)} (anyone with it can use this hub)", flush=True)
    # An open browser tab keeps a connection for ever; stopping does not wait for it.
    config = uvicorn.Config(app, log_level="warning", proxy_headers=True, timeout_graceful_shutdown=3)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Takes the port at once, so that a clash is told before anything heavy happens. Raises HubError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio switches Nagle's algorithm off only where the protocol is named; with it, every answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise HubError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port.") from None
    return listener


if __name__ == "__main__":
    sys.exit(main())
