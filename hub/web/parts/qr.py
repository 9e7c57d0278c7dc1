"""QR codes of addresses: for a phone's camera, on the page and in the terminal."""

from __future__ import annotations

import io

import segno
from markupsafe import Markup


def svg(text: str) -> Markup:
    """An SVG element, dark on white with the quiet zone that cameras want; it fills what it stands in."""
    code = segno.make(text, error="m", micro=False)
    out = io.BytesIO()
    code.save(
        out, kind="svg", border=3, dark="#0b1120", light="#fff", xmldecl=False, svgns=True, omitsize=True,
        svgclass="hub-qr", lineclass=None, nl=False,
    )  # fmt: skip
    return Markup(out.getvalue().decode())  # segno's own: lines only, no words of the text


def terminal(text: str) -> str:
    """Half-block characters, for a terminal with a dark background; most cameras read them inverted, too."""
    out = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=out, border=4, compact=True)
    return out.getvalue()
