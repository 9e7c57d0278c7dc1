"""The letters that are drawn on pictures: one font for the scripts people write in, and never a box for a letter.

Its glyphs are joined, placed and turned right to left by Pillow's raqm. fonts/README.md says how the font was made.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from PIL import ImageFont

FILE = Path(__file__).parent / "fonts" / "letters.ttf"
MOST_CHARS = 500  # of a text that is drawn: nobody reads more on a picture
JOINERS = {"\u200c", "\u200d"}  # which decide how letters of one word join
NO_BREAK = "\N{NO-BREAK SPACE}"
MISSING = "…"  # in the place of letters that the font has not


def font(size: float) -> ImageFont.FreeTypeFont:
    """The font with letters `size` px high. A new one each time, since threads must not share it."""
    return ImageFont.truetype(FILE, max(1.0, size))


def drawable(text: str) -> str:
    """One line of the text in letters of the font: emoji and control characters go, unknown letters become an ellipsis.

    What a letter is made of stands in for it where only that is known, such as fi for its ligature.
    """
    letters_so_far = ""
    words = (" ".join(part.split()) for part in text[:MOST_CHARS].split(NO_BREAK))
    for character in unicodedata.normalize("NFC", NO_BREAK.join(words)):
        joins = character in JOINERS and unicodedata.category(letters_so_far[-1:] or " ")[0] in "LM"
        letters = character if joins else _letters_for(character)
        if letters != MISSING or not letters_so_far.endswith(MISSING):
            letters_so_far += letters
    return " ".join(word for word in letters_so_far.split(" ") if word)  # dropped emoji leave two spaces


def goes_left(line: str) -> bool:
    """Whether a line is of a script that is written from right to left: its first letter says."""
    return next((side != "L" for c in line if (side := unicodedata.bidirectional(c)) in ("L", "R", "AL")), False)


def may_end(last: str, following: str) -> bool:
    """Whether a line may end between two characters: not before a mark or what closes, nor after what opens."""
    closes = unicodedata.category(following) in ("Mn", "Mc", "Me", "Pe", "Pf", "Po")
    return not closes and unicodedata.category(last) not in ("Ps", "Pi") and NO_BREAK not in (last, following)


def _letters_for(character: str) -> str:
    kind = unicodedata.category(character)
    if kind[0] == "C":
        return ""  # also those that turn the direction of all that follows
    if ord(character) in _glyphs():
        return character
    parts = unicodedata.normalize("NFKD", character)
    letters = "".join(part for part in parts if ord(part) in _glyphs())
    return letters if letters or kind[0] not in "LN" else MISSING


@cache
def _glyphs() -> frozenset[int]:
    """The characters that the font has a glyph for."""
    from fontTools.ttLib import TTFont

    with TTFont(FILE, lazy=True) as font:
        return frozenset(font.getBestCmap())
