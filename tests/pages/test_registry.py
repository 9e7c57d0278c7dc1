"""Finding demos: one that is broken says so on its page, and the others serve."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from hub.errors import DeclarationError, NotFoundError
from hub.images import encode
from hub.pages import registry as registry_module
from hub.pages.problems import RESERVED_NAMES, RESERVED_SLUGS, problems
from hub.pages.registry import discover
from hub.spec import (
    Choice,
    Choices,
    Demo,
    Example,
    ImageInput,
    ImageOutput,
    Json,
    Labels,
    Number,
    Slider,
    Text,
    Toggle,
    Weights,
)
from tests.fakes import picky_demo, picture

PAGE = """
from hub.spec import Demo, Json, Slider

def load(folder, device): return None
def prepare(number): return number
def infer(model, items): return items
def present(output, number): return {"answer": output}

DEMO = Demo(title="Number", summary="Says a number.", task="Arithmetic",
            inputs=(Slider("number", "Number", 0, 9, 1, 1),), outputs=(Json("answer", "Answer"),),
            load=load, prepare=prepare, infer=infer, present=present%s)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry_module, "entry_points", lambda group: [])
    demos = tmp_path / "demos"
    demos.mkdir()
    return demos


def write(folder: Path, slug: str, text: str = PAGE % "") -> None:
    (folder / f"{slug}.py").write_text(textwrap.dedent(text), encoding="utf-8")


SHARING = """
from hub.kit.segmentation import infer_frames, load_frames
from hub.spec import Demo, Json, Slider

def prepare(number): return number
def present(output, number): return {"answer": output}

DEMO = Demo(title="Number", summary="Says a number.", task="Arithmetic",
            inputs=(Slider("number", "Number", 0, 9, 1, 1),), outputs=(Json("answer", "Answer"),),
            load=load_frames, prepare=prepare, infer=infer_frames, present=present%s)
"""


# --- finding --------------------------------------------------------------------------------------


def test_every_file_is_a_page_named_after_it_in_gallery_order(folder: Path) -> None:
    write(folder, "second", PAGE % ", order=2")
    write(folder, "first", PAGE % ", order=1")
    write(folder, "also_second", PAGE % ", order=2")
    write(folder, "_helper", "raise RuntimeError('not a page')")
    assert [page.slug for page in discover(folder)] == ["first", "also_second", "second"]


def test_only_the_named_pages_are_imported(folder: Path) -> None:
    write(folder, "wanted")
    write(folder, "unwanted", "raise RuntimeError('imported although nobody asked')")
    assert [page.slug for page in discover(folder, ["wanted"])] == ["wanted"]


def test_pages_with_the_same_load_and_infer_share_the_model_of_the_first(folder: Path) -> None:
    write(folder, "later", SHARING % "")
    write(folder, "first", SHARING % ", order=1")
    write(folder, "smaller_batches", SHARING % ", max_batch=2")
    write(folder, "own")
    found = discover(folder)
    wanted = {"first": "first", "later": "first", "smaller_batches": "smaller_batches", "own": "own"}
    assert {page.slug: page.model_slug for page in found} == wanted
    assert discover(folder, ["later"]).get("later").model_slug == "later", "the other page is not there"
    write(folder, "first", PAGE % ", order=1")  # it was edited: the two have nothing in common any more
    found.put(discover(folder, ["first"]).pages)
    assert found.get("later").model_slug == "later"
    found.put({"later": None})
    assert "later" not in found.pages


def test_an_unknown_name_in_the_list_is_refused_with_a_suggestion(folder: Path) -> None:
    write(folder, "vehicle_classifier")
    with pytest.raises(NotFoundError, match=r"No demo 'vehicle'\. Did you mean 'vehicle_classifier'\?"):
        discover(folder, ["vehicle"])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"There is no folder of demos .*nowhere"):
        discover(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("slug", "told"),
    [
        ("vehicle", "No demo 'vehicle'. Did you mean 'vehicle_classifier'?"),
        ("camvid-segmentation", "No demo 'camvid-segmentation'. Did you mean 'camvid_segmentation'?"),
        ("zzz", "No demo 'zzz'. There is: 'camvid_segmentation', 'vehicle_classifier'."),
        ("", "No demo ''. There is: 'camvid_segmentation', 'vehicle_classifier'."),
    ],
)
def test_an_unknown_page_is_not_found_with_near_misses(folder: Path, slug: str, told: str) -> None:
    write(folder, "vehicle_classifier")
    write(folder, "camvid_segmentation")
    with pytest.raises(NotFoundError) as caught:
        discover(folder).get(slug)
    assert str(caught.value) == told


def test_an_installed_package_adds_a_page(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "installed_demo")
    monkeypatch.syspath_prepend(str(folder))
    entries = [EntryPoint("from_package", "installed_demo:DEMO", "demo_hub.demos")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: entries)
    found = discover(folder)
    assert found.get("from_package").demo.title == "Number"
    assert [page.slug for page in discover(folder, ["from_package"])] == ["from_package"]
    with pytest.raises(NotFoundError, match=r"Did you mean 'from_package'\?"):
        discover(folder, ["from_packag"])


def test_an_entry_point_that_names_a_module_is_a_page_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "another_module")
    monkeypatch.syspath_prepend(str(folder))
    entries = [EntryPoint("from_module", "another_module", "demo_hub.demos")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: entries)
    page = discover(folder).get("from_module")
    assert page.demo.title == "Number"
    assert page.assets == folder / "assets" / "from_module"


def test_two_demos_of_one_name_are_a_broken_page_that_names_both(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, "twice")
    write(folder, "other")
    entries = [EntryPoint("twice", "package:DEMO", "demo_hub.demos")]
    monkeypatch.setattr(registry_module, "entry_points", lambda group: entries)
    found = discover(folder)
    with pytest.raises(DeclarationError, match=r"Two demos are called 'twice': .*twice\.py and entry point twice"):
        _ = found.get("twice").demo
    assert found.get("other").demo


# --- a broken page --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise RuntimeError('bad day')", "cannot be imported: RuntimeError: bad day"),
        ("import no_such_package", "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = (", "(line 1) cannot be imported: SyntaxError: '(' was never closed"),
        ("import sys; sys.exit('no licence')", "cannot be imported: SystemExit: no licence"),
        ("", "must end with DEMO = Demo(...) from hub.spec."),
        ("DEMO = 5", "must end with DEMO = Demo(...) from hub.spec."),
        ("from hub.spec import Demo\nDEMO = Demo(title='x')", "cannot be imported: TypeError: "),
        (PAGE % ", max_batch='many'", "max_batch is 'many'; it must be a whole number, 1 or more."),
        (PAGE % ", weights=None", "weights must be a tuple of Weights"),
    ],
)
def test_a_page_that_is_broken_says_so_and_the_others_serve(folder: Path, text: str, told: str) -> None:
    write(folder, "broken", text)
    write(folder, "whole")
    found = discover(folder)
    page = found.get("broken")
    assert page.declared is None
    assert told in page.error
    assert "broken.py" in page.error
    assert "Traceback" not in page.error
    assert (page.title, page.cover) == ("Broken", None)
    with pytest.raises(DeclarationError):
        _ = page.demo
    assert found.get("whole").demo.title == "Number"
    assert [p.slug for p in found] == ["whole", "broken"]


def test_a_file_whose_name_is_no_slug_is_a_broken_page(folder: Path) -> None:
    for name in ("Upper", "with-dash", "9lives"):
        write(folder, name)
    for page in discover(folder):
        assert "must be lower-case letters, digits and _" in page.error


# --- declarations ---------------------------------------------------------------------------------


def declared(**changes: Any) -> Demo:
    def load(folder: Any, device: Any) -> None: ...
    def prepare(image: Any) -> None: ...
    def infer(model: Any, items: Any) -> None: ...
    def present(output: Any, image: Any) -> None: ...

    whole: dict[str, Any] = {
        "title": "T",
        "summary": "S",
        "task": "K",
        "inputs": (ImageInput("image", "Photo"),),
        "outputs": (Json("answer", "Answer"),),
        "load": load,
        "prepare": prepare,
        "infer": infer,
        "present": present,
    }
    return Demo(**{**whole, **changes})


def with_input(field: Any) -> dict[str, Any]:
    return {"inputs": (field,), "prepare": lambda **named: None, "present": lambda output, **named: None}


def test_a_whole_declaration_has_no_problems(tmp_path: Path) -> None:
    assert problems("page", declared(), tmp_path) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"title": " "}, "title is empty; write a few words."),
        ({"summary": None}, "summary is empty; write a few words."),
        ({"inputs": ()}, "inputs must be a tuple with at least one field"),
        ({"inputs": [ImageInput("image", "Photo")]}, "inputs must be a tuple"),
        ({"outputs": "answer"}, "outputs must be a tuple"),
        ({"inputs": ("image",)}, "inputs: 'image' is not one of the input fields of hub.spec."),
        ({"inputs": (ImageOutput("image", "I"),)}, "is not one of the input fields of hub.spec."),
        ({"outputs": (ImageInput("image", "I"),)}, "is not one of the output fields of hub.spec."),
        (with_input(ImageInput("My image", "I")), "inputs: 'My image' is not a valid name"),
        (with_input(ImageInput("class", "I")), "inputs: 'class' is not a valid name"),
        (with_input(ImageInput("config", "I")), "inputs: the name 'config' is reserved; choose another."),
        ({"outputs": (Json("a", "A"), Json("a", "B"))}, "outputs: 'a' is declared 2 times; names must differ."),
        (with_input(Slider("s", "S", 1, 0, 0, 1)), "s: minimum 1 must be below maximum 0."),
        (with_input(Slider("s", "S", 0, 1, 2, 1)), "s: default 2 is not between 0 and 1."),
        (with_input(Slider("s", "S", 0, 1, 1, 0)), "s: step 0 must be above 0 and fit into the range."),
        (with_input(Slider("s", "S", 0, 1, 1, 5)), "s: step 5 must be above 0 and fit into the range."),
        (with_input(Slider("s", "S", 0.0, float("inf"), 1.0, 1.0)), "must be finite numbers"),
        (with_input(Slider("s", "S", "0", 1, 1, 1)), "must be finite numbers"),  # type: ignore[arg-type]
        (with_input(Number("n", "N", True)), "n: minimum, maximum and default must be finite numbers"),
        (with_input(Number("n", "N", 1, 2, 3)), "n: default 1 is not between 2 and 3."),
        (with_input(Number("n", "N", minimum=2, maximum=2)), "n: minimum 2 must be below maximum 2."),
        (with_input(Number("n", "N", 0.5, integer=True)), "n: with integer=True all must be whole numbers"),
        (with_input(Toggle("t", "T", default="yes")), "t: default must be True or False"),  # type: ignore[arg-type]
        (
            with_input(Slider("s", "S", 0, 1, 1, 1, default_from="best")),
            "s: default_from names a number in the weights'",
        ),
        (with_input(Slider("s", "S", 0, 1, 1, 1, default_from=None)), "s: default_from must be a key"),  # type: ignore[arg-type]
        (with_input(Choice("c", "C", ("a",), "a")), "c: options must be at least two different texts"),
        (with_input(Choice("c", "C", ("a", "a"), "a")), "c: options must be at least two different texts"),
        (with_input(Choice("c", "C", ("a", "b"), "z")), "c: default 'z' is not one of ('a', 'b')."),
        (with_input(Choice("c", "C", "ab", "a")), "c: options must be a tuple of texts"),  # type: ignore[arg-type]
        (with_input(Choice("c", "C", (1, 2), 1)), "c: options must be a tuple of texts"),  # type: ignore[arg-type]
        (with_input(Choice("c", "C", ("a", ""), "a")), "c: an option is empty"),
        (with_input(Choice("c", "C", ("a",), "b", options_from="names")), "is not one of ('a',) (other options depend"),
        (with_input(Choice("c", "C", ("a",), "a", options_from="names")), "and this demo has no weights."),
        (with_input(Choices("c", "C", ("a", "b"), default="a")), "c: default must be a tuple"),  # type: ignore[arg-type]
        (with_input(Choices("c", "C", ("a", "b"), default=("z",))), "c: default 'z' is not one of ('a', 'b')."),
        (with_input(Choices("c", "C", ("a, b", "c"))), "c: the option 'a, b' has a comma"),
        (with_input(Choices("c", "C")), "c: options must be at least two different texts"),
        (
            {"outputs": (ImageOutput("o", "O", compare="img"),)},
            "compare='img' is not an image input; there is: 'image'",
        ),
        ({"more": ("depth",)}, "more: 'depth' is not an input"),
        ({"more": ("image",)}, "more: 'image' must be given"),
        ({"outputs": (Labels("o", "O", line="limit"),)}, "line='limit' is not a Json output"),
        ({"outputs": (Labels("o", "O", line="t"), Json("t", "T", table=True))}, "line='t' is not a Json output"),
        ({"outputs": (Labels("o", "O", line="t"), Json("t", "T", optional=True))}, "line='t' is not a Json output"),
        ({"live": {"a": 1}}, "live is for a demo with one image input that has webcam=True."),
        ({"live": {"a": 1}, "inputs": (ImageInput("image", "I", webcam=True),)}, "live: No input 'a'."),
        (with_input(Text("t", "T", max_chars=0)), "t: max_chars must be 1 or more, got 0."),
        (with_input(Text("t", "T", default="long", max_chars=3)), "t: the default has more than max_chars = 3"),
        ({"max_batch": 0}, "max_batch is 0; it must be a whole number, 1 or more."),
        ({"weights": Weights("a")}, "weights must be a tuple of Weights, such as (Weights('my_model'),)."),
        ({"weights": ("a",)}, "weights must be a tuple of Weights"),
        ({"weights": (Weights("a"), Weights("a"))}, "weights: two have the same name; names must differ."),
        ({"examples": ({"image": "a.png"},)}, "examples must be a tuple of Example"),
        ({"load": None}, "load must be a function, got None."),
        ({"load": lambda folder: None}, "does not fit (too many positional arguments); write def load(folder, device)"),
        ({"load": lambda folder, device, config: None}, "write def load(folder, device)"),
        ({"prepare": lambda picture: None}, "write def prepare(image)"),
        ({"infer": lambda model: None}, "write def infer(model, items)"),
        ({"present": lambda output: None}, "write def present(output, image)"),
        ({"cover": "none.png"}, "cover: there is no file"),
        ({"examples": (Example({"image": "none.png"}, "Nothing"),)}, "Example 0 (Nothing): there is no file"),
        ({"examples": (Example({}, "Empty"),)}, "Example 0 (Empty): image is missing"),
        ({"examples": (Example({"imag": "x"}, "Typo"),)}, "Example 0 (Typo): No input 'imag'. Did you mean 'image'?"),
    ],
)
def test_a_wrong_declaration_is_told_with_its_fix(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    found = problems("page", declared(**changes), tmp_path)
    assert told in " ".join(found)
    assert len(found) == len(set(found))


def test_the_newer_fields_can_be_declared_together(tmp_path: Path) -> None:
    assert problems("page", picky_demo(), tmp_path) == []
    for field in (
        Choice("c", "C", ("best",), "best", options_from="names"),
        Choices("d", "D", options_from="names"),
        Slider("s", "S", 0, 1, 1, 1, default_from="best"),
    ):
        assert problems("page", declared(**with_input(field), weights=(Weights("w"),)), tmp_path) == []


def test_what_no_check_foresees_still_breaks_only_its_own_page(folder: Path) -> None:
    write(folder, "odd", PAGE.replace('Slider("number"', "Slider(5") % "")
    write(folder, "whole")
    found = discover(folder)
    assert "odd.py is not valid. It cannot be checked (TypeError: " in found.get("odd").error
    assert found.get("whole").demo


def test_functions_may_ask_for_the_config(tmp_path: Path) -> None:
    demo = declared(
        prepare=lambda image, config: None,
        infer=lambda model, items, config: None,
        present=lambda output, image, config: None,
    )
    assert problems("page", demo, tmp_path) == []


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_no_page_takes_a_route_of_the_hub(slug: str, tmp_path: Path) -> None:
    assert any("is a route of the hub" in told for told in problems(slug, declared(), tmp_path))


@pytest.mark.parametrize("name", sorted(RESERVED_NAMES))
def test_no_field_takes_a_reserved_name(name: str, tmp_path: Path) -> None:
    told = problems("page", declared(**with_input(ImageInput(name, "I"))), tmp_path)
    assert any("is reserved" in one for one in told)


def test_the_cover_is_the_declared_one_or_the_first_example(folder: Path) -> None:
    assets = folder / "assets"
    shown: dict[str, Callable[[], str]] = {
        "own": lambda: ", cover='own.png', examples=(Example({'image': 'a.png'}, 'A', 'b.png'),)",
        "wrong": lambda: ", cover='own.png', examples=(Example({'image': 'a.png'}, 'A', 'c.png'),)",
        "first": lambda: ", examples=(Example({'image': 'a.png'}, 'A'), Example({'image': 'b.png'}, 'B'))",
        "none": lambda: "",
    }
    for slug, more in shown.items():
        (assets / slug).mkdir(parents=True)
        for name in ("own.png", "a.png", "b.png"):
            (assets / slug / name).write_bytes(encode(picture(), "png"))
        text = PAGE.replace("Slider", "ImageInput").replace(", 0, 9, 1, 1", "").replace("number", "image")
        write(folder, slug, text.replace("Json,", "Json, Example,") % more())
    found = discover(folder)
    assert found.get("own").cover == assets / "own" / "own.png"
    assert found.get("first").cover == assets / "first" / "a.png"
    assert found.get("none").cover is None
    assert list(found.get("first").example_images()) == [("a.png", "A"), ("b.png", "B")]
    # An answer's picture comes before both; one with words on it is for who reads them.
    for name in ("card.webp", "card.zh-CN.webp"):
        (assets / "own" / name).write_bytes(encode(picture(), "png"))
    assert found.get("own").cover == found.get("own").cover_in("en") == assets / "own" / "card.webp"
    assert found.get("own").cover_in("zh-CN") == assets / "own" / "card.zh-CN.webp"
    assert found.get("first").cover_in("zh-CN") == assets / "first" / "a.png"
    assert list(found.get("own").tiles()) == [("a.png", "A", True)]  # what goes in comes before what comes of it
    assert "there is no file" in found.get("wrong").error
