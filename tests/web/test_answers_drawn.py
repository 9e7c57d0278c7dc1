"""How pages draw tables and labels: what people need is in sight, the rest unfolds."""

from __future__ import annotations

import pytest

from hub.pages.registry import discover
from hub.spec import Json, Labels
from hub.texts import ENGLISH, catalogues, speaking
from hub.web.parts import html, wording


@pytest.mark.parametrize(
    ("values", "decimals"),
    [([1.0, 2.25, 3], 2), ([1, 2], 0), (["a"], None), ([], None), ([True], None), ([1e-9, 0.5], 6), ([0.1 + 0.2], 1)],
)
def test_numbers_of_a_column_have_equally_many_decimals(values: list[object], decimals: int | None) -> None:
    assert wording.decimals(values) == decimals


def test_numbers_stand_right_and_columns_for_programs_are_not_seen() -> None:
    drawn = html.panel(
        Json("faces", "Ages", table=True, unseen=("x_px",)), [{"age": 34.0, "x_px": 7}, {"age": 1.5, "x_px": 8}]
    )
    assert '<td class="hub-number">34.0</td>' in drawn and '<th scope="col" class="hub-number">age</th>' in drawn
    assert "x px" not in drawn


def test_picked_labels_are_chips_in_readable_words_and_long_lists_are_folded() -> None:
    demo = discover().get("satellite_labels").demo
    english = catalogues([], demo.names)[ENGLISH]
    rows = [{"label": "blow_down", "percent": 51.25}, {"label": "<b>", "percent": 50}]
    with speaking(english):
        chips = html.panel(Json("tags", "Picked", table=True, chips=True), rows)
        folded = html.panel(Labels("all", "All probabilities", folded=True), {"slash_burn": 0.5})
    assert "<li>trees blown down <span>51.2 %</span></li>" in chips and "&lt;b&gt;" in chips
    assert folded.startswith("<details") and "slash-and-burn clearing" in folded and " open" not in folded
