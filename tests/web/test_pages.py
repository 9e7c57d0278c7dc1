"""What the pages are built of: components of the newer fields, and what other weights change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hub.engine import Engine
from hub.registry import Page, Registry
from hub.results import Picture
from hub.settings import Settings
from hub.spec import Choice, Choices, ImageInput, Labels, Weights
from hub.web import fields, gradio_ui, html
from tests.fakes import picky_demo, picture, registry_of, shade_demo, write_weights
from tests.served import run_async
from tests.web.doors import png


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    write_weights(tmp_path / "weights", "cars", {"label_names": ["saloon", "van"]}, b"1")
    write_weights(tmp_path / "weights", "trees", {"label_names": ["oak", "van"]}, b"2")
    labelled = shade_demo(
        inputs=(
            ImageInput("image", "Photo"),
            Choice("best", "Best", ("first",), "first", options_from="label_names"),
            Choices("labels", "Labels", options_from="label_names"),
        ),
        weights=(Weights("cars"), Weights("trees")),
        prepare=lambda image, best, labels: 0.5,
        infer=lambda model, items: items,
        present=lambda output, image, best, labels: {"shade": {"light": output}, "mask": None},
    )
    settings = Settings(
        data=str(tmp_path / "data"), device="cpu", dtype="float32", weights_folder=str(tmp_path / "weights")
    )
    made = Engine(settings, registry_of(picky=picky_demo(), labelled=labelled))
    yield made
    made.close()


def drawn_by(engine: Engine) -> list[dict[str, Any]]:
    """All components of all pages."""

    # In a running event loop: outside of one, Gradio makes loops that it never closes.
    async def build() -> list[dict[str, Any]]:
        return list(gradio_ui.build(engine).get_config_file()["components"])

    return run_async(build())


def components(config: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    return [c for c in config if c["props"].get("label") == label]


def test_the_page_offers_the_options_of_its_default_weights(engine: Engine) -> None:
    drawn = drawn_by(engine)
    (best,) = components(drawn, "Best")
    (labels,) = components(drawn, "Labels")
    assert [value for _, value in best["props"]["choices"]] == ["first", "saloon", "van"]
    assert (labels["type"], [v for _, v in labels["props"]["choices"]]) == ("checkboxgroup", ["saloon", "van"])
    (paints,) = components(drawn, "Paints")
    assert paints["props"]["value"] == ["red", "blue"]


def test_other_weights_bring_their_options_and_keep_what_both_have(engine: Engine) -> None:
    page = gradio_ui._Page(gradio_ui._Pages(engine), engine.registry.get("labelled"))
    best, labels = page.adapt("trees", "saloon", ["saloon", "van"])
    assert (best["choices"], best["value"]) == (["first", "oak", "van"], "first")
    assert (labels["choices"], labels["value"]) == (["oak", "van"], ["van"])
    best, _ = page.adapt("trees", "van", [])
    assert best["value"] == "van"


def test_an_image_to_compare_is_a_slider_and_a_line_is_not_shown_on_its_own(engine: Engine) -> None:
    drawn = drawn_by(engine)
    kinds = sorted(c["type"] for c in components(drawn, "Painted"))
    assert kinds == ["file", "image", "imageslider"]  # for gradio_client, live, and the page
    assert [f.name for f in fields.on_page(engine.registry.get("picky").demo)] == ["painted", "shares", "facts"]


def test_an_optional_output_is_hidden_when_it_is_not_there_and_shown_when_it_is(engine: Engine, tmp_path: Path) -> None:
    demo, data = engine.registry.get("picky").demo, png(colour="white")

    def shown(**given: Any) -> list[Any]:
        return fields.shown(demo, engine.run("picky", {"image": data, **given}), tmp_path, {"image": data})

    painted, shares, facts = shown(paints=[], detail="little")
    assert (painted["visible"], facts["visible"]) == (False, False)
    assert "the line at 25.0 %" in shares
    painted, _, facts = shown(paints=["red"], detail="much")
    assert (painted["visible"], facts["visible"]) == (True, True)
    before, after = (Path(one) for one in painted["value"])
    assert before.suffix == ".jpg", "every browser can show what it is compared with"
    assert after.is_file()
    assert before.is_file()


def test_a_jpeg_is_compared_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    picture().save(path)
    assert fields.browsable(path, tmp_path / "made") == str(path)
    assert not (tmp_path / "made").exists()


def test_labels_at_or_above_the_line_stand_out() -> None:
    values = {f"label {n}": (20 - n) / 20 for n in range(17)}
    drawn = html.labels(values, 17, 0.5)
    assert "11 of 17 at or above the line at 50.0 %" in drawn
    assert drawn.count("class=hub-strong") == 11
    assert drawn.count("<li") == 17
    assert "hub-compact" in drawn
    plain = html.labels({"cat": 0.9, "dog": 0.1}, 5)
    assert plain.count("class=hub-strong") == 1
    assert "hub-compact" not in plain
    assert "hub-lined" not in plain


def test_names_from_a_model_are_escaped_wherever_they_are_drawn() -> None:
    bad = "<b onclick=x>"
    for drawn in (
        html.labels({bad: 0.5}, 5, 0.1),
        html.table([{"class": bad, "shown": False}]),
        html.value({bad: bad}),
        fields.panel(Labels("l", bad, help=bad), {bad: 0.5}),
    ):
        assert "<b" not in drawn


def test_a_page_whose_weights_are_absent_still_opens(tmp_path: Path) -> None:
    demo = shade_demo(
        inputs=(ImageInput("image", "Photo"), Choices("labels", "Labels", options_from="label_names")),
        weights=(Weights("nowhere"),),
    )
    settings = Settings(data=str(tmp_path), device="cpu", dtype="float32", weights_folder=str(tmp_path))
    engine = Engine(settings, Registry({"gone": Page("gone", "a test", tmp_path, declared=demo)}))
    (labels,) = components(drawn_by(engine), "Labels")
    assert labels["props"]["choices"] == []
    engine.close()


def test_files_of_old_results_leave_the_pages_temporary_folder(tmp_path: Path) -> None:
    made = Picture(b"bytes", "image/png", 1, 1)
    old, kept = (Path(fields.file(name, "overlay", 0, made, tmp_path)) for name in ("old", "kept"))
    os.utime(old.parent, (0, 0))
    os.utime(kept.parent, (0, 0))
    fields.file("kept", "overlay", 0, made, tmp_path)  # shown again
    fields.file("new", "overlay", 0, made, tmp_path)
    assert not old.exists() and kept.exists()
