"""The public Gradio tunnel to a hub on this machine."""

from __future__ import annotations

import secrets

from hub.errors import UnavailableError


def tunnel(host: str, port: int) -> str:
    """Opens the tunnel and returns its address. Raises UnavailableError when there is no way out."""
    from gradio.networking import setup_tunnel

    try:
        return str(setup_tunnel(host, port, secrets.token_urlsafe(32), None, None))
    except (OSError, RuntimeError, ValueError) as error:
        raise UnavailableError(f"No public link: {error}. --share needs internet access to Gradio's tunnel.") from None
    except Exception as error:  # httpx's errors have no common built-in base, and which httpx is Gradio's own affair
        raise UnavailableError(f"No public link: {type(error).__name__}: {error}. --share needs internet.") from None
