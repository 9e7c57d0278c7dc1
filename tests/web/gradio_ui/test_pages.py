"""What the pages are built of: components of the newer fields, and what other weights change."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import gradio as gr
import pytest
from PIL import Image

from hub.hub import Hub
from hub.pages.kinds import on_page
from hub.pages.registry import Page, Registry
from hub.results.result import Picture, Result
from hub.settings import Settings
from hub.spec import Choice, Choices, Example, ImageInput, ImageOutput, Json, Labels, Slider, Weights
from hub.web.gradio_door import stills
from hub.web.gradio_ui import app as gradio_ui
from hub.web.gradio_ui import fields
from hub.web.gradio_ui import live as live_ui
from hub.web.gradio_ui import similar as similar_ui
from hub.web.gradio_ui.page.asking import Asking
from hub.web.parts import filled, html, snippets
from tests.fakes import picky_demo, picture, registry_of, shade_demo, write_weights
from tests.served import run_async
from tests.web.doors import png


def captioned(output: Any, image: Any, paints: tuple[str, ...], detail: str) -> dict[str, Any]:
    """As `picky_demo` answers; its picture says so where it has one colour."""
    found = picky_demo().present(output, image=image, paints=paints, detail=detail)
    return {**found, "painted": (found["painted"], f"Only {paints[0]}")} if len(paints) == 1 else found


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    write_weights(tmp_path / "weights", "cars", {"label_names": ["saloon", "van"], "threshold": 0.3}, b"1")
    write_weights(tmp_path / "weights", "trees", {"label_names": ["oak", "van"], "threshold": 0.7}, b"2")
    labelled = shade_demo(
        inputs=(
            ImageInput("image", "Photo"),
            Choice("best", "Best", ("first",), "first", options_from="label_names"),
            Choices("labels", "Labels", options_from="label_names"),
            Slider("least", "Least", 0.0, 1.0, 0.5, 0.01, default_from="threshold"),
        ),
        weights=(Weights("cars"), Weights("trees")),
        examples=(Example({"image": "a.png", "weights": "trees"}, "Trees"), Example({"image": "a.png"}, "Cars")),
        prepare=lambda image, best, labels, least: 0.5,
        infer=lambda model, items: items,
        present=lambda output, image, best, labels, least: {"shade": {"light": output}, "mask": None},
    )
    settings = Settings(
        data=str(tmp_path / "data"), device="cpu", dtype="float32", weights_folder=str(tmp_path / "weights")
    )
    made = Hub(settings, registry_of(picky=picky_demo(present=captioned), labelled=labelled))
    yield made
    made.close()


def drawn_by(hub: Hub) -> list[dict[str, Any]]:
    """All components of all pages."""

    # In a running event loop: outside of one, Gradio makes loops that it never closes.
    async def build() -> list[dict[str, Any]]:
        return list(gradio_ui.build(hub).config["components"])

    return run_async(build())


def components(config: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    return [c for c in config if c["props"].get("label") == label]


def test_the_page_offers_the_options_of_its_default_weights(hub: Hub) -> None:
    drawn = drawn_by(hub)
    (best,) = components(drawn, "Best")
    (labels,) = components(drawn, "Labels")
    assert [value for _, value in best["props"]["choices"]] == ["first", "saloon", "van"]
    assert (labels["type"], [v for _, v in labels["props"]["choices"]]) == ("checkboxgroup", ["saloon", "van"])
    (paints,) = components(drawn, "Paints")
    assert paints["props"]["value"] == ["red", "blue"]


def test_other_weights_bring_their_options_and_keep_what_both_have(hub: Hub) -> None:
    page = Asking(hub, hub.registry.get("labelled"))
    best, labels, _ = page.adapt("trees", "saloon", ["saloon", "van"], 0.3)
    assert (best["choices"], best["value"]) == (["first", "oak", "van"], "first")
    assert (labels["choices"], labels["value"]) == (["oak", "van"], ["van"])
    best, *_ = page.adapt("trees", "van", [], 0.3)
    assert best["value"] == "van"


def test_a_number_of_the_weights_stands_on_the_page_wherever_the_weights_are_chosen(hub: Hub, tmp_path: Path) -> None:
    page = Asking(hub, hub.registry.get("labelled"))
    assert page.adapt("trees", "first", [], 0.0)[-1]["value"] == 0.7, "the slider and what runs never differ"
    picked = [page.pick(cast(gr.EventData, SimpleNamespace(_data={"example": number}))) for number in (0, 1)]
    assert [values[3:] for values in picked] == [[0.7, "trees"], [0.3, "cars"]]

    def at(*query: tuple[str, str]) -> Any:
        return filled.read(hub, page.page, query, tmp_path).values.get("least")

    assert at(("weights", "trees")) == at(("example", "1")) == 0.7
    assert at(("weights", "trees"), ("example", "2")) == 0.7, "the weights that the address names"
    assert at(("least", "0"), ("weights", "trees")) == 0.0
    assert at(("best", "first")) is None, "what is there stays"


def test_the_page_starts_at_a_number_of_its_weights_and_clients_that_leave_it_out_send_none(hub: Hub) -> None:
    async def build() -> Any:
        made = gradio_ui.build(hub)
        return made.config["components"], made.get_api_info()["named_endpoints"]

    drawn, endpoints = run_async(build())
    (least,) = [c for c in components(drawn, "Least") if c["type"] == "slider"]
    assert least["props"]["value"] == 0.3
    for name in ("/labelled", "/labelled_compare"):
        (least,) = [p for p in endpoints[name]["parameters"] if p["parameter_name"] == "least"]
        assert (least["parameter_has_default"], least["parameter_default"]) == (True, None)
    shown = snippets.all_of("labelled", hub.registry.get("labelled").demo, "http://hub.test")
    assert not any("least" in text for _, _, text in shown)


def test_an_image_to_compare_is_a_slider_and_a_line_is_not_shown_on_its_own(hub: Hub) -> None:
    drawn = drawn_by(hub)
    kinds = sorted(c["type"] for c in components(drawn, "Painted"))
    assert kinds == ["file", "image", "imageslider"]  # for gradio_client, live, and the page
    assert [f.name for f in on_page(hub.registry.get("picky").demo)] == ["painted", "shares", "facts"]


def test_an_optional_output_is_hidden_when_it_is_not_there_and_shown_when_it_is(hub: Hub, tmp_path: Path) -> None:
    demo, data = hub.registry.get("picky").demo, png(colour="white")

    def shown(**given: Any) -> list[Any]:
        return fields.fill_outputs(demo, hub.engine.run("picky", {"image": data, **given}), tmp_path, {"image": data})

    painted, shares, facts = shown(paints=[], detail="little")
    assert (painted["visible"], facts["visible"]) == (False, False)
    assert "the line at 25.0 %" in shares["value"]
    painted, _, facts = shown(paints=["red"], detail="much")
    assert (painted["visible"], facts["visible"]) == (True, True)
    before, after = (Path(one) for one in painted["value"])
    assert before.suffix == ".jpg", "every browser can show what it is compared with"
    assert after.is_file()
    assert before.is_file()


def test_a_jpeg_is_compared_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    picture().save(path)
    assert stills.write_browsable(path, tmp_path / "made") == str(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "frames", "still"),
    [("a.tiff", 1, True), ("a.gif", 2, True), ("a.webp", 2, True), ("a.png", 2, True),
     ("b.gif", 1, False), ("b.webp", 1, False), ("b.png", 1, False), ("b.jpg", 1, False), ("c.tiff", 0, False)],
)  # fmt: skip
def test_what_browsers_show_otherwise_is_shown_as_analysed_and_stays_what_is_analysed(
    name: str, frames: int, still: bool, tmp_path: Path
) -> None:
    field = fields.input_component(ImageInput("image", "Photo"))
    field.GRADIO_CACHE = str(tmp_path)
    sent = tmp_path / "upload" / name
    sent.parent.mkdir()
    first, *more = [Image.new("RGB", (24, 16), colour) for colour in ("red", "blue")[: max(frames, 1)]]
    first.save(sent, **({"save_all": True, "append_images": more} if more else {}))
    if not frames:
        sent.write_bytes(sent.read_bytes()[:50])  # damaged: its run tells so
    shown = field.postprocess(str(sent))
    assert field.preprocess(shown) == sent
    assert (Path(shown.path) != sent) == still
    if still:
        assert fields.show_still(sent) == str(sent)
        with Image.open(shown.path) as image:
            assert (image.format, image.size) == ("JPEG", first.size)
            red, _, blue = cast(tuple[int, ...], image.convert("RGB").getpixel((1, 1)))
            assert red > 200 > 60 > blue
        shown.orig_name = __file__  # a browser may send anything
        assert field.preprocess(shown) == Path(shown.path)
    elif frames:
        assert fields.show_still(sent) == gr.skip()


def test_a_picture_is_read_aloud_as_what_it_says_of_itself(hub: Hub, tmp_path: Path) -> None:
    demo, data = hub.registry.get("picky").demo, png(colour="white")
    painted, *rest = demo.outputs
    alone = replace(demo, outputs=(replace(cast(ImageOutput, painted), compare="", help="At most 8 px"), *rest))
    assert cast(gr.Image, fields.output_component(alone.outputs[0])).alt_text == "Painted"
    for paints, said in ((["red"], "Only red"), (["red", "blue"], "Painted")):
        result = hub.engine.run("picky", {"image": data, "paints": paints})
        shown = fields.fill_outputs(alone, result, tmp_path, {"image": data})[0]
        assert (shown["label"], shown["alt_text"]) == (said, said)
        assert f'alt="{said}"' in similar_ui.draw_result(result, alone)


def test_tables_with_nothing_in_them_are_hidden_until_there_is_something(tmp_path: Path) -> None:
    demo = shade_demo(outputs=(Json("rows", "Rows", table=True),))
    for rows in ([], [{"a": 1}]):
        result = cast(Result, SimpleNamespace(values={"rows": rows}, pictures={}))
        (shown,) = fields.fill_outputs(demo, result, tmp_path, {})
        assert shown["visible"] == bool(rows)


@pytest.mark.parametrize("value", [0.45, 3, True, "text", {"a": [1]}])
def test_clients_get_any_json_as_it_is(value: Any) -> None:
    assert fields.api_component(Json("n", "N")).postprocess(value).root == value


def test_a_live_frame_says_what_it_shows_and_the_first_that_the_model_is_there(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / "frame.png"
    path.write_bytes(png(colour="white"))
    live = live_ui.Live(hub, None, hub.registry.get("picky"), ["image", "paints", "detail"])
    live.picture, live.components, live.draw_head = (
        cast(ImageOutput, live.demo.outputs[0]),
        [None] * 3,
        lambda: "in memory",
    )
    request = cast(gr.Request, SimpleNamespace(session_hash="tab", request=None))

    async def frames() -> list[list[Any]]:
        return [await live.frame(request, path, ["red"], "much") for _ in range(2)]

    first, second = run_async(frames())
    assert (first[0], second[0]) == ("in memory", gr.skip())
    assert (second[2]["label"], second[2]["alt_text"]) == ("Only red", "Only red, live")
    assert isinstance(second[2]["value"], Picture)


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
        html.json_text({bad: bad}),
        html.panel(Labels("l", bad, help=bad), {bad: 0.5}),
    ):
        assert "<b" not in drawn


def test_a_page_whose_weights_are_absent_still_opens(tmp_path: Path) -> None:
    demo = shade_demo(
        inputs=(ImageInput("image", "Photo"), Choices("labels", "Labels", options_from="label_names")),
        weights=(Weights("nowhere"),),
    )
    settings = Settings(data=str(tmp_path), device="cpu", dtype="float32", weights_folder=str(tmp_path))
    hub = Hub(settings, Registry({"gone": Page("gone", "a test", tmp_path, declared=demo)}))
    (labels,) = components(drawn_by(hub), "Labels")
    assert labels["props"]["choices"] == []
    hub.close()


def test_files_of_old_results_leave_the_pages_temporary_folder(tmp_path: Path) -> None:
    made = Picture(b"bytes", "image/png", 1, 1)
    old, kept = (Path(fields.write_picture(name, "overlay", 0, made, tmp_path)) for name in ("old", "kept"))
    os.utime(old.parent, (0, 0))
    os.utime(kept.parent, (0, 0))
    fields.write_picture("kept", "overlay", 0, made, tmp_path)  # shown again
    fields.write_picture("new", "overlay", 0, made, tmp_path)
    assert not old.exists() and kept.exists()
