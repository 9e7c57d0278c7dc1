"""What is read of a prompt: punctuation makes no difference, and what is not read is told at every door."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from transformers import CLIPTokenizer, PreTrainedTokenizerFast

from hub.batch import grid, plan
from hub.batch.folder import RunFolder
from hub.cli.main import main
from hub.hub import Hub
from hub.kit import prompts
from hub.results import capsules
from hub.results.result import Result
from hub.settings import ROOT, Settings
from hub.texts import CHINESE, own
from hub.web.parts import html

pytestmark = pytest.mark.slow

SLUG = "stable_diffusion"


@cache
def bundled() -> Any:
    return PreTrainedTokenizerFast.from_pretrained(ROOT / "weights" / SLUG / "tokenizer")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The real page with the bundled weights."""
    made = Hub(Settings(device="cpu", demos=SLUG, data=str(tmp_path_factory.mktemp("data"))))
    yield made
    made.close()


def run(hub: Hub, prompt: str, **inputs: Any) -> Result:
    return hub.engine.run(SLUG, {"prompt": prompt, "seed": 3, "steps": 2, **inputs})


MARKS = [chr(n) for n in range(0x3100) if unicodedata.category(chr(n))[0] in "PZ"]


@pytest.mark.parametrize(
    "prompt",
    [
        "a red circle.", "a (red circle", '"a red" circle!', "a red circle。", "「a red circle」", "a, red,circle",
        "A RED—CIRCLE", "a red\ncircle\r\n\t", "ａ ｒｅｄ　ｃｉｒｃｌｅ．", "[a] {red} <circle>", "¿a red circle?",
        "a_red_circle", "a red circle's", "a red’s ‘circle’s", "a/red\\circle|~^`$+=", "a red-circle...",
        "\ufeffa re\u00add cir\u200bcle", "a \u202ered\u202c circle…", "a\x00red\x7fcircle",
    ],
)  # fmt: skip
def test_punctuation_case_and_unseen_marks_make_no_difference(prompt: str) -> None:
    assert bundled()(prompt)["input_ids"] == bundled()("a red circle")["input_ids"]
    assert prompts.read(bundled(), prompt) == {"unknown": [], "cut": "", "cut_tokens": 0, "most": 24}


def test_every_mark_of_punctuation_parts_words_and_says_nothing() -> None:
    clean = bundled()("a red circle")["input_ids"]
    assert len(MARKS) > 300
    assert not [m for m in MARKS if bundled()(f"{m}a{m}red{m}{m}circle{m}")["input_ids"] != clean]


def test_what_a_prompt_names_specially_is_a_word_as_any_other(hub: Hub) -> None:
    plain, special = (run(hub, f"a {word} red circle") for word in ("wordless", "[end]"))
    assert pixels(plain) == pixels(special)  # both unknown, and the circle is still read


def test_words_that_are_not_known_and_what_is_cut_are_told_within_bounds() -> None:
    found = prompts.read(bundled(), "a dog left of <b>x</b> \u202edog 红色的圆 🔴 " + "red " * 40)
    assert found["unknown"] == ["dog", "b", "x", "红色的圆", "🔴"] and found["cut_tokens"] > 20
    assert found["cut"].split() == ["red"] * found["cut_tokens"]
    unknown, cut = prompts.remarks("Prompt", found)
    assert unknown == (
        "Prompt: this model does not know 'dog', 'b', 'x', '红色的圆', '🔴', and draws as if that were not said."
    )
    assert cut.startswith("Prompt: cut after 24 tokens, the most that this model reads. Not read: 'red red")
    many = prompts.read(bundled(), " ".join(f"{'x' * 60}{n}" for n in range(20)))
    said = "".join(prompts.remarks("Prompt", many))
    assert "(+12)" in said and len(said) < 500 and len(many["unknown"]) == 20
    assert own()[CHINESE].say(unknown).startswith("提示词：此模型不认识 'dog'")


def test_a_tokenizer_of_bytes_knows_every_word_and_cuts_at_77(tmp_path: Path) -> None:
    letters = [chr(n) for n in range(33, 127)]
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(vocabulary)}
    clip = CLIPTokenizer(vocab=numbers, merges=[], model_max_length=77)
    assert prompts.read(clip, "a b. (c)")["unknown"] == []
    found = prompts.read(clip, " ".join(["q"] * 75 + ["lost", "words"]))
    assert (found["most"], found["cut"], found["cut_tokens"]) == (77, "lost words", 9)


def pixels(result: Result) -> list[bytes]:
    return [np.asarray(Image.open(io.BytesIO(p.data))).tobytes() for p in result.pictures["pictures"]]


def test_the_picture_is_byte_for_byte_that_of_the_clean_prompt(hub: Hub) -> None:
    clean = run(hub, "a red circle", negative_prompt="white background")
    other = run(hub, "“A red (circle)”。", negative_prompt="White, background!")
    bare = [[capsules.without(p).data for p in result.pictures["pictures"]] for result in (clean, other)]
    assert bare[0] == bare[1] and clean.id != other.id
    assert not other.receipt.remarks and other.values == clean.values


def test_what_was_not_read_is_in_the_receipt_the_settings_the_picture_and_on_the_page(hub: Hub) -> None:
    result = run(hub, "a red dog <b>", negative_prompt="cat " + "white " * 30)
    said = result.receipt.remarks
    assert [text.partition(":")[0] for text in said] == ["Prompt", "Negative prompt", "Negative prompt"]
    assert "'dog', 'b'" in said[0] and "'cat'" in said[1] and "24 tokens" in said[2]
    (row,) = result.values["settings"]
    counts = {name: value for name, value in row.items() if name.startswith(("prompt", "negative"))}
    assert counts == {"prompt_words_not_known": 2, "negative_prompt_words_not_known": 1,
                      "negative_prompt_tokens_cut_off": 9}  # fmt: skip
    image = Image.open(io.BytesIO(result.pictures["pictures"][0].data))
    assert json.loads(image.info["demo-hub"])["remarks"] == [*said]
    assert capsules.read(result.pictures["pictures"][0].data)[0]["parameters"]["prompt"] == "a red dog <b>"
    assert "&#39;dog&#39;" in html.done(result.headline, result.receipt) and "<b>" not in html.remarks(result.receipt)
    again = run(hub, "a red dog <b>", negative_prompt="cat " + "white " * 30)
    assert again.receipt.cached and again.receipt.remarks == said
    # Without guidance the negative prompt has no say, so nothing of it is told.
    assert len(run(hub, "a red dog", negative_prompt="cat", guidance=1.0).receipt.remarks) == 1


def test_grids_keep_and_tell_what_was_not_read(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = plan.make(hub, SLUG, ["a red dog"], [], [1], settings={"steps": 2})
    folder, told = RunFolder.create(tmp_path, made), []
    grid.draw(hub, folder, made, made.cells(), on_done=told.append)
    assert "'dog'" in told[0]["remarks"][0] and next(folder.records())["remarks"] == told[0]["remarks"]


def test_the_command_line_tells_what_was_not_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--set", "steps=1", "--set", "seed=1", "--data", str(tmp_path)]
    assert main(["run", SLUG, "--set", "prompt=a red dog.", *flags]) == 0
    assert "this model does not know 'dog'" in capsys.readouterr().out
    assert main(["grid", SLUG, "--subject", "a blue dog", "--set", "steps=1", "--data", str(tmp_path)]) == 0
    assert "note: a blue dog, seed 0: Prompt: this model does not know 'dog'" in capsys.readouterr().err
