"""Sentences that visitors read in their own language: for headlines, captions, tables and remarks of a page.

`sentence(template, **values)` fills in a template that has a translation (`assets/<slug>/<language>.toml`);
`joined(parts)` makes a list in words of several.
"""

from hub.texts import Sentence, joined, sentence

__all__ = ["Sentence", "joined", "percent", "sentence"]
SURE, NIL = 0.995, 0.005  # shares that would be rounded to all and to nothing


def percent(share: float) -> Sentence:
    """`94 %` of 0.94. Never `100 %` or `0 %`: these would claim more than a model knows."""
    if share >= SURE:
        return sentence("over 99\N{NO-BREAK SPACE}%")
    if share < NIL:
        return sentence("under 1\N{NO-BREAK SPACE}%")
    return sentence("{number:.0f}\N{NO-BREAK SPACE}%", number=100 * share)
