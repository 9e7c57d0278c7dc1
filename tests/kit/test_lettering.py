"""Letters on pictures: every script that the font has is drawn, and what it has not is left out, never a box."""

from __future__ import annotations

import io

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from numpy.typing import NDArray
from PIL import Image, features

from hub.archive.cards import SIZE, _split_word, card
from hub.kit import lettering
from hub.kit.drawing import Drawing

KNOWN = {
    "Latin": "Ça va? Größe, Ångström, łódź, Việt",
    "Greek and Cyrillic": "Ελληνικά Привет Ёлка Ђак",
    "simplified Chinese": "支持“船只”的区域（87%）",
    "traditional Chinese": "繁體字：臺灣",
    "Japanese": "日本語のテスト、カタカナ",
    "Korean": "한국어 시험",
    "Arabic": "مرحبا بالعالم",
    "Hebrew": "שלום עולם",
    "Thai": "สวัสดีชาวโลก",
    "Hindi": "नमस्ते दुनिया",
    "signs": "97 % – “x” → 5 × 3 … €",
}


def drawn(text: str) -> NDArray[np.uint8]:
    return np.asarray(lettering.font(30).getmask(text)).reshape(-1)


@pytest.mark.parametrize("text", KNOWN.values(), ids=KNOWN)
def test_what_people_write_is_drawn_as_it_is(text: str) -> None:
    assert lettering.drawable(text) == text
    box = drawn("\U0010ffff")
    assert box.any()  # what an unknown letter would look like
    assert not any(np.array_equal(drawn(letter), box) for letter in set(text) - {" "})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a 🎉 party 👩‍🚀!", "a party !"),
        ("🎉🎉", ""),
        ("bell\x07 NUL\x00 half\ud800", "bell NUL half"),
        ("evil\u202egnp.exe", "evilgnp.exe"),  # nobody's text turns what follows
        ("one\n\n two\tthree 97\u00a0%", "one two three 97\u00a0%"),
        ("ﬁne ① ｈｉ", "fine ① ｈｉ"),
        ("አማርኛ and ᏣᎳᎩ", "… and …"),
        ("e\u0301", "é"),
        ("x" * 1000, "x" * 500),
    ],
)
def test_what_the_font_has_not_is_left_out_or_told_by_an_ellipsis(text: str, shown: str) -> None:
    assert lettering.drawable(text) == shown


def test_arabic_is_joined_and_goes_from_right_to_left() -> None:
    assert features.check("raqm")  # of the Pillow that requirements.txt names
    font = lettering.font(40)
    letters = "مرحبا"
    assert font.getlength(letters) < 0.9 * sum(map(font.getlength, letters))
    alone, marked = (np.asarray(font.getmask(text)).reshape(font.getmask(text).size[::-1]) for text in ("ب", "ب!"))
    assert marked.shape[1] > alone.shape[1]
    assert marked[:, : marked.shape[1] - alone.shape[1] - 4].any()  # the exclamation mark stands left of the letter


def test_names_on_drawings_and_previews_have_them_too() -> None:
    paper = Image.new("RGB", (400, 200), "white")
    pictures = []
    for name in ("船只", "ship", "🎉"):
        drawing = Drawing(paper)
        drawing.name(name, (200, 100), (1, 0), 8, 24, ("#000000", "#ffffff"))
        pictures.append(np.asarray(drawing.image))
    assert len({picture.tobytes() for picture in pictures}) == 3
    shown = card("卫星图像标签", "支持“船只”的区域" * 20 + "🎉", None)
    with Image.open(io.BytesIO(shown.data)) as image:
        assert image.size == SIZE
        assert (np.asarray(image.convert("L"))[:, -40:] > 250).all()  # nothing runs over the edge


def test_lines_end_where_each_script_lets_them() -> None:
    font = lettering.font(30)
    parts = _split_word(font, "支持（船只），区域！" * 3, 5.2 * font.getlength("支"))
    assert "".join(parts) == "支持（船只），区域！" * 3
    assert not any(part[0] in "），！" or part[-1] == "（" for part in parts)
    assert _split_word(font, "!" * 40, 100)[0] == _split_word(font, "!" * 40, 100)[1]  # nowhere: then anywhere
    assert lettering.goes_left("(مرحبا) hub")
    assert not lettering.goes_left("123 hub مرحبا")


def test_the_font_says_whose_it_is_and_is_small() -> None:
    with TTFont(lettering.FILE, lazy=True) as font:
        assert font["name"].getDebugName(1) == "Demo Hub Letters"
        assert "SIL Open Font License" in font["name"].getDebugName(13)
    assert lettering.FILE.stat().st_size < 8e6
    assert "SIL OPEN FONT LICENSE" in lettering.FILE.with_name("OFL.txt").read_text(encoding="utf-8")
