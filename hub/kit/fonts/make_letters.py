"""Makes letters.ttf of Debian's Noto packages; README.md beside it has the command. Needs fonttools, and no network.

python hub/kit/fonts/make_letters.py FOLDER   # with the unpacked packages below it
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
NAME = "Demo Hub Letters"
# Which letters of which font: scripts that people write names and prompts in. Later ones add what earlier ones lack.
PARTS: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = (
    ("NotoSans-Regular.ttf", ((0x20, 0x24F), (0x2B0, 0x52F), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x20A0, 0x2122))),
    ("NotoSansArabic-Regular.ttf", ((0x600, 0x6FF), (0x750, 0x77F), (0xFB50, 0xFDFF), (0xFE70, 0xFEFC))),
    ("NotoSansHebrew-Regular.ttf", ((0x591, 0x5F4),)),
    ("NotoSansThai-Regular.ttf", ((0xE01, 0xE5B),)),
    ("NotoSansDevanagari-Regular.ttf", ((0x900, 0x97F),)),
)
HAN, FACE = "NotoSansCJK-Regular.ttc", 2  # of its faces, simplified Chinese
# The characters of the usual national sets, by the codec that has them: rare ones would take four times the room.
SETS = {"gb2312": (0xA1, 0xF7), "big5": (0xA1, 0xC6), "shift_jis": (0x81, 0x98), "euc_kr": (0xA1, 0xC8)}
ERROR = 0.6  # of a thousandth of the letters' height: how far a curve may be from the one that it replaces


def main(folder: Path) -> None:
    from fontTools.merge import Merger, Options

    with tempfile.TemporaryDirectory() as scratch:
        parts, covered = list[str](), set[int]()
        for number, (name, ranges) in enumerate(PARTS):
            missing = {code for low, high in ranges for code in range(low, high + 1)} - covered
            font = cut(next(folder.rglob(name)), missing)
            covered |= set(font.getBestCmap())
            parts.append(saved(font, Path(scratch), number))
        han = outlined(cut(next(folder.rglob(HAN)), set(usual()) - covered, layout=False, fontNumber=FACE))
        parts.append(saved(han, Path(scratch), len(parts)))
        whole = Merger(Options(drop_tables=["vhea", "vmtx", "VORG", "BASE", "DSIG"])).merge(parts)
    for record in list(whole["name"].names):
        if record.nameID in (0, 7, 8, 9, 11, 12, 13, 14):  # whose it is, and under which licence
            continue
        whole["name"].removeNames(nameID=record.nameID)
    for kind, text in ((1, NAME), (2, "Regular"), (3, NAME), (4, NAME), (6, NAME.replace(" ", ""))):
        whole["name"].setName(text, kind, 3, 1, 0x409)
    whole.save(HERE / "letters.ttf")


def usual() -> Iterator[int]:
    """The characters that the national sets write in two bytes, and the wide forms of ASCII."""
    yield from range(0xFF01, 0xFF5F)
    for codec, (low, high) in SETS.items():
        for first in range(low, high + 1):
            for second in range(0x40, 0xFF):
                text = bytes((first, second)).decode(codec, "ignore")
                if len(text) == 1 and ord(text) > 0x7F:
                    yield ord(text)


def cut(path: Path, codes: Iterable[int], *, layout: bool = True, **options: Any) -> Any:
    """The font with these characters, and what joins and places them, alone."""
    from fontTools.subset import Options, Subsetter
    from fontTools.ttLib import TTFont

    font = TTFont(path, **options)
    subset_options = Options(hinting=False, name_IDs=["*"], notdef_outline=True, glyph_names=False)
    if not layout:
        subset_options.drop_tables += ["GSUB", "GPOS", "GDEF", "BASE", "VORG", "vhea", "vmtx"]
    shrinker = Subsetter(subset_options)
    shrinker.populate(unicodes=codes)
    shrinker.subset(font)
    return font


def outlined(font: Any) -> Any:
    """A font of cubic curves with quadratic ones, as the other parts have."""
    from fontTools.pens.cu2quPen import Cu2QuPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib import newTable

    glyphs, outlines = font.getGlyphSet(), {}
    for name in font.getGlyphOrder():
        pen = TTGlyphPen(glyphs)
        glyphs[name].draw(Cu2QuPen(pen, ERROR, reverse_direction=True))
        outlines[name] = pen.glyph()
    font["loca"], table = newTable("loca"), newTable("glyf")
    font["glyf"], table.glyphOrder, table.glyphs = table, font.getGlyphOrder(), outlines
    most = font["maxp"]
    most.tableVersion, most.maxZones, most.maxTwilightPoints = 0x00010000, 1, 0
    for name in ("Storage", "FunctionDefs", "InstructionDefs", "StackElements", "SizeOfInstructions"):
        setattr(most, f"max{name}", 0)
    most.maxComponentElements = 0
    font["post"].formatType, font["post"].extraNames, font["post"].mapping = 3.0, [], {}
    del font["CFF "]
    font.sfntVersion = "\0\1\0\0"
    return font


def saved(font: Any, folder: Path, number: int) -> str:
    path = folder / f"{number}.ttf"
    font.save(path)
    return str(path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
