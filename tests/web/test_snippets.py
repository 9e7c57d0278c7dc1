"""Code that a page shows is true for its values, also for those that a shell or a script would take for something."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess

import pytest

from hub.spec import Choices, Demo, ImageInput, Json, Seed, Slider, Text, Toggle, Weights
from hub.web.parts import snippets

DEMO = Demo(
    title="All kinds", summary="", task="Test",
    inputs=(
        ImageInput("image", "Image"), Slider("least", "Least", 0.0, 1.0, 0.5, 0.1),
        Choices("show", "Show", options=("road", "car"), default=("road",)), Toggle("wide", "Wide"),
        Seed("seed", "Seed"), Text("words", "Words", default=""),
    ),
    outputs=(Json("said", "Said"),), weights=(Weights("a"), Weights("b")),
    load=lambda folder, device: None, prepare=lambda **inputs: None, infer=lambda model, items: items,
    present=lambda output, **inputs: {},
)  # fmt: skip
VALUES = {
    "least": 0.2, "show": ["road", "car"], "wide": True, "seed": "42",
    "words": "@it's \"$HOME\" </script> 中", "weights": "b",
}  # fmt: skip


def test_every_way_has_the_values_of_the_page() -> None:
    ways = {title: text for title, _, text in snippets.all_of("all_kinds", DEMO, "http://hub.test", VALUES)}
    assert "    words=" + repr(VALUES["words"]) in ways["Python"]
    assert "    seed=42," in ways["Python"]
    words = shlex.split(ways["curl"].replace("\\\n", " "))
    assert words[words.index("-F") + 1] == "image=@photo.jpg"
    sent = [words[n + 1] for n, word in enumerate(words) if word == "--form-string"]
    assert sent == [
        "least=0.2",
        "show=road",
        "show=car",
        "wide=true",
        "seed=42",
        f"words={VALUES['words']}",
        "weights=b",
    ]
    far = shlex.split(ways["Command line"].splitlines()[1])
    assert {f"--words={VALUES['words']}", "--show=road,car", "--weights=b"} <= {*far}
    compile(ways["Python"], "snippet", "exec")
    compile(ways["MCP"], "snippet", "exec")


def test_nothing_picked_is_told_where_something_is_usual_and_an_empty_seed_is_left_to_the_hub() -> None:
    given = {**VALUES, "show": [], "seed": "", "words": ""}
    ways = {title: text for title, _, text in snippets.all_of("all_kinds", DEMO, "http://hub.test", given)}
    assert "--form-string show=" in ways["curl"]
    assert "show: []," in ways["JavaScript"]
    assert not any("seed" in text for text in ways.values())
    assert "words" not in ways["curl"]


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_scripts_say_the_same_to_node() -> None:
    ways = {title: text for title, _, text in snippets.all_of("all_kinds", DEMO, "http://hub.test", VALUES)}
    stand_ins = (
        "const handle_file = (path) => ({ path }), openAsBlob = async () => new Blob(['x']);\n"
        "const predict = async (...call) => ({ data: JSON.stringify(call) });\n"
        "const Client = { connect: async () => ({ predict }) };\n"
        "globalThis.fetch = async (url, { body }) => ({ json: async () => JSON.stringify([url, [...body]]) });\n"
    )

    def told(title: str) -> list[object]:
        script = stand_ins + ways[title].split("\n", 1)[1]
        done = subprocess.run(
            ["node", "--input-type=module", "--eval", script], capture_output=True, text=True, timeout=60, check=True
        )
        return list(json.loads(done.stdout))

    name, arguments = told("JavaScript")
    assert (name, arguments) == ("/all_kinds", {**VALUES, "seed": 42, "image": {"path": "photo.jpg"}})
    url, fields = told("fetch")
    assert url == "http://hub.test/api/v1/demos/all_kinds"
    assert isinstance(fields, list)
    assert [field for field in fields if field[0] != "image"] == [
        ["least", "0.2"], ["show", "road"], ["show", "car"], ["wide", "true"], ["seed", "42"],
        ["words", VALUES["words"]], ["weights", "b"],
    ]  # fmt: skip
