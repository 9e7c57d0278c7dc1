"""`python -m hub serve`, which is `python app.py`: serves a hub until it is stopped."""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys

from hub import logs, settings
from hub.errors import HubError, InputError
from hub.people import users

# A Space's proxy comes from one of these, and says who asks; without, all visitors would share one address's limits.
HERE = "127.0.0.1,::1"
PRIVATE = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
HELP = "Serve a hub of live model demos."


def main(arguments: list[str] | None = None) -> int:
    """Runs `python app.py`. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="app.py", description=HELP)
    settings.add_flags(parser)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flag that is no setting."""
    parser.add_argument(
        "--model",
        metavar="SOURCE",
        action="append",
        default=[],
        help="hf://owner/name[@revision] or ./folder: serve this model alone, on a page made for it in the data folder",
    )
    parser.add_argument(
        "--lora", metavar="SOURCE", default="",
        help="with --model, hf://owner/lora[@revision][/file]: its LoRA is added to a pipeline of diffusers",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Builds the hub that the flags ask for, serves until stopped. Returns the exit status."""
    try:
        hub_settings = settings.from_flags(args, environment())
        logs.begin(hub_settings.log_level, hub_settings.log_format)
        for noisy in ("httpx", "httpx2", "mcp"):
            logging.getLogger(noisy).setLevel(logging.WARNING)
        if hub_settings.offline:
            settings.go_offline()  # before anything imports huggingface_hub
        if args.lora and not args.model:
            raise InputError("--lora goes with --model: it is added to the weights of that model.")
        if args.model:
            from hub.starters import serving  # what it takes is needed here alone

            hub_settings = serving.with_models(hub_settings, args.model, args.lora)
        users.open_users(hub_settings.auth)  # a wrong file is told before anything heavy happens
        if hub_settings.executor == "ray":
            from hub.cluster import session

            session.check(hub_settings)
        return serve(hub_settings)
    except (HubError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def environment() -> dict[str, str]:
    """The environment, with what a Hugging Face Space needs where nothing else is said."""
    variables = dict(os.environ)
    exported = settings.ROOT / "space.toml"  # what export-space writes beside this file
    if exported.is_file():
        variables.setdefault("HUB_SETTINGS_FILE", str(exported))
    if "SPACES_ZERO_GPU" in variables:
        from hub.spaces import zero

        variables = (zero.SETTINGS if zero.is_zero_space(variables) else {}) | variables
    if "SPACE_ID" in variables:
        variables.setdefault("HUB_HOST", "0.0.0.0")
        if os.access("/data", os.W_OK):  # the Space's persistent storage
            variables.setdefault("HUB_DATA", "/data/demo-hub")
    return variables


def serve(hub_settings: settings.Settings) -> int:
    """Serves until stopped."""
    with listen(hub_settings.host, hub_settings.port) as listener:
        return serve_on(listener, hub_settings)


def serve_on(listener: socket.socket, hub_settings: settings.Settings) -> int:
    """Builds the hub and serves it on a socket that listens already."""
    from hub.hub import Hub
    from hub.spaces import zero
    from hub.web import announce as share
    from hub.web import server, serving
    from hub.weights.store import fetch_ahead

    port = listener.getsockname()[1]
    hub = Hub(hub_settings, spaces=zero.claim(), port=port, serving=True)
    fetch_ahead(hub.weights, hub.registry)
    app = server.build_app(hub)
    share.announce(hub, port)
    proxies = os.environ.get("FORWARDED_ALLOW_IPS") or (PRIVATE if "SPACE_ID" in os.environ else HERE)
    serving.serve(app, hub, listener, proxies=proxies)
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
        raise HubError(
            "Cannot listen on {host}:{port}: {reason}. Choose another with --port.",
            host=host,
            port=port,
            reason=error.strerror,
        ) from None
    return listener
