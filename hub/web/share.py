"""The public Gradio tunnel to a hub on this machine."""

from __future__ import annotations

import secrets

from hub.errors import UnavailableError


def tunnel(host: str, port: int) -> str:
    """Opens the tunnel and returns its address. Raises UnavailableError when there is no way out."""
    from gradio.networking import setup_tunnel

    try:
        return str(setup_tunnel(host, port, secrets.token_urlsafe(32), None, None))
    # Gradio raises its HTTP client's own errors here, which have no base in common with the others.
    except Exception as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise UnavailableError(f"No public link: {reason}. --share needs internet access.") from None
