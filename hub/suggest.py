"""Near misses for names people type: `No demo 'vehicle'. Did you mean 'vehicle_classifier'?`"""

from __future__ import annotations

import difflib
from collections.abc import Sequence


def unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """The sentence for a name that is not one of `known`: near misses, or all there is."""
    name = name if len(name) <= 60 else f"{name[:59]}…"
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    near += [k for k in known if name and (k.startswith(name) or name.startswith(k)) and k not in near]
    if near:
        return f"No {kind} {name!r}. Did you mean {' or '.join(repr(n) for n in near[:3])}?"
    listed = ", ".join(repr(k) for k in known) or "none"
    return f"No {kind} {name!r}. There is: {listed}."
