"""Sentences that visitors read in their own language: for captions, tables and remarks of a page.

`sentence(template, **values)` fills in a template that has a translation (`assets/<slug>/<language>.toml`);
`joined(parts)` makes a list in words of several.
"""

from hub.texts import joined, sentence

__all__ = ["joined", "sentence"]
