"""How pages draw tables and labels: what people need is in sight, the rest unfolds."""

from __future__ import annotations

import re

import pytest

from hub.pages.registry import discover
from hub.spec import Json, Labels
from hub.texts import ENGLISH, catalogues, speaking
from hub.web.parts import html, model_cards, wording
from hub.weights.facts import Metric, WeightsFacts


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


def test_a_hostile_card_gives_short_lines_and_no_tags() -> None:
    card = (
        "## Data\n\n"
        + "<script>x" * 9000
        + "\n\n## Limits\n\n"
        + "- a\n" * 900
        + "\n| class | share |\n|---|---|\n"
        + "| <b> | 0.5 |\n" * 900
    )
    facts = WeightsFacts("w", "W", 1, "d" * 64, "<i>", (Metric("<u>", 0.5, ""),), card)
    drawn = model_cards.summary(facts)
    assert len(drawn) < 9000 and not re.search("<(script|b|i|u)>", drawn) and "&lt;u&gt;" in drawn


def test_the_commands_of_a_card_come_last() -> None:
    drawn = model_cards.draw("# Model\n\n    python -m train\n\n## Limits\n\nNone.\n")
    assert drawn.index("None.") < drawn.index("Commands of the recipe") < drawn.index("python -m train")
