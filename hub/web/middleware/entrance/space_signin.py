"""Sign-in with Hugging Face, on a Space that has `hf_oauth: true`: who may come in is the setting `space_users`."""

from __future__ import annotations

import os
import time

from fastapi import FastAPI
from starlette.types import Scope

from hub.errors import InputError, UnavailableError
from hub.settings import Settings

PLACE = "/login/huggingface"
PATHS = frozenset({PLACE, "/login/callback", "/logout"})  # Gradio's own


def add_to(app: FastAPI, settings: Settings) -> None:
    """Adds Gradio's sign-in routes and their session cookie, around all layers that are there already.

    Raises InputError where it cannot work: elsewhere Gradio signs everybody in as the machine's own user.
    """
    if not settings.space_users:
        return
    if not (os.environ.get("SPACE_ID") and os.environ.get("OAUTH_CLIENT_ID")):
        raise InputError(
            "--space-users needs a Hugging Face Space with `hf_oauth: true` in its README.md. Elsewhere: --auth."
        )
    from gradio import oauth

    try:
        oauth.attach_oauth(app)
    except ImportError as error:
        raise UnavailableError("Sign-in with Hugging Face needs gradio[oauth]: {reason}", reason=error) from None


def user(scope: Scope) -> str:
    """The Hugging Face name of who signed in, from the signed session cookie; empty: nobody did, or it is over."""
    oauth = (scope.get("session") or {}).get("oauth_info") or {}
    over = oauth.get("expires_at") is not None and oauth["expires_at"] < time.time()
    return "" if over else str((oauth.get("userinfo") or {}).get("preferred_username") or "")
