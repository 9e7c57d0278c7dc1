"""Near misses for names people type: `No demo 'vehicle'. Did you mean 'vehicle_classifier'?`"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from hub.texts import Sentence, sentence

LISTED = 20  # options that are named; there may be thousands


def unknown(kind: str, name: str, known: Sequence[str]) -> Sentence:
    """The sentence for a name that is not one of `known`: near misses, or all there is."""
    name = name if len(name) <= 60 else f"{name[:59]}…"
    if meant := _listed(name, known):
        return sentence("No {kind} {name!r}. Did you mean {near}?", kind=sentence(kind), name=name, near=meant)
    names = ", ".join(repr(k) for k in known) or sentence("none")
    return sentence("No {kind} {name!r}. There is: {listed}.", kind=sentence(kind), name=name, listed=names)


def unknown_option(field: str, given: str, known: Sequence[str]) -> Sentence:
    """The sentence for a value of the input `field` that is not one of its options: near misses, and what there is."""
    names = ", ".join(repr(k) for k in known[:LISTED]) or sentence("none")
    if len(known) > LISTED:
        names += f" and {len(known) - LISTED} more"
    if meant := _listed(given, known):
        template = "{name}: no option {given!r}. Did you mean {near}? There are: {listed}."
        return sentence(template, name=field, given=given, near=meant, listed=names)
    return sentence("{name}: no option {given!r}. There are: {listed}.", name=field, given=given, listed=names)


def near(name: str, names: Sequence[str]) -> list[str]:
    """Up to three of `names` that may have been meant."""
    found = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    found += [k for k in names if name and (k.startswith(name) or name.startswith(k)) and k not in found]
    return found[:3]


def _listed(name: str, names: Sequence[str]) -> str:
    """The same in words; empty for none."""
    return " or ".join(repr(n) for n in near(name, names))
