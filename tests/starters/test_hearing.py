"""Pages of models that hear: what they answer is what their library does, and their text comes as it is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.contract.inputs import sound_file
from hub.decoding.decode import ImageLimits
from hub.decoding.played import audio
from hub.engine.jobs import Cancel, text_so_far
from hub.errors import CancelledError, InputError, TooLargeError, UnavailableError
from hub.hub import Hub
from hub.kit.generating.texts import written
from hub.kit.pretrained import pretrained
from hub.results import sounds
from hub.settings import Settings
from hub.spec import Choice, Progress
from hub.starters import making
from hub.weights.store import WeightsStore
from tests.starters import tiny_hearing, tiny_models
from tests.starters.tiny_models import card

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]  # transformers' own
Files = dict[str, bytes]


@pytest.fixture
def page_of(files_of: Callable[[str], Files], tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """A hub with the page `tiny` of a model of a kind."""
    made: list[Hub] = []

    def build(kind: str, files: Files | None = None, **more: Any) -> Hub:
        folder = tmp_path / "model"
        folder.mkdir()
        for name, data in (files or files_of(kind)).items():
            (folder / name).write_bytes(data)
        store = WeightsStore(tmp_path / "weights", tmp_path / "hub")
        making.create_from(str(folder), "tiny", tmp_path / "demos", store)
        places = {"weights_folder": str(tmp_path / "weights"), "demos_folder": str(tmp_path / "demos")}
        data = str(tmp_path / "data")
        made.append(Hub(Settings(device="cpu", dtype="float32", pool_gb=1.0, data=data, **places, **more)))
        return made[-1]

    yield build
    for hub in made:
        hub.close()


def samples(sound: bytes, rate: int = 16_000) -> np.ndarray:
    return np.array(audio.read(sound, ImageLimits(), name="sound", max_seconds=100, sample_rate=rate))


def pipeline(task: str, folder: Path, **options: Any) -> Any:
    import transformers

    return transformers.pipeline(task, str(folder), device="cpu", **options)


def stepped(seconds: float) -> bytes:
    """A sound that changes: a tone of its own every few seconds."""
    rate, parts = 8_000, []
    for number in range(max(1, round(seconds / 4))):
        at = np.arange(round(min(seconds, 4) * rate)) / rate
        parts.append(0.5 * np.sin(2 * np.pi * (200 + 90 * number) * at))
    return sounds.write((np.concatenate(parts), rate))[1][1].data


@pytest.mark.parametrize("seconds", [2, pytest.param(40, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("language", "task"), [("auto", "transcribe"), ("de", "translate")])
def test_whisper_writes_what_its_library_does(
    seconds: int, language: str, task: str, page_of: Callable[..., Hub], tmp_path: Path
) -> None:
    sound, hub = stepped(seconds), page_of("automatic-speech-recognition")
    answer = hub.engine.run("tiny", {"sound": sound, "language": language, "task": task})
    wish = {"task": task, "num_beams": 1, **({} if language == "auto" else {"language": language})}
    usual = pipeline("automatic-speech-recognition", tmp_path / "model")
    asked = {"return_timestamps": True} if seconds > 30 else {}
    (text,) = [usual(samples(sound), generate_kwargs=wish, **asked)["text"]]
    assert answer.values["text"] == "".join(
        letter for letter in text.strip() if letter.isprintable() or letter in "\n\t"
    )


def test_languages_and_tasks_are_those_of_the_repository(page_of: Callable[..., Hub]) -> None:
    hub = page_of("automatic-speech-recognition")
    page = hub.registry.get("tiny")
    config = hub.weights.find(page.demo.weights[0].name).config
    assert {*config["languages"]} == {*tiny_hearing.LANGUAGES} and {*config["tasks"]} == {*tiny_hearing.TASKS}
    for name, wrong in (("language", "fr"), ("task", "sing")):
        with pytest.raises(InputError, match=f"{name}: no option '{wrong}'"):
            hub.engine.run("tiny", {"sound": sound_file(), name: wrong})
    assert [f.name for f in page.demo.inputs if isinstance(f, Choice)] == ["language", "task"]


def test_a_network_of_one_language_is_not_asked_for_another(page_of: Callable[..., Hub]) -> None:
    hub = page_of("english")
    answers = {
        language: hub.engine.run("tiny", {"sound": sound_file(), "language": language}).values["text"]
        for language in ("auto", "en")
    }
    assert answers["auto"] == answers["en"]
    with pytest.raises(InputError, match="no option 'de'"):
        hub.engine.run("tiny", {"sound": sound_file(), "language": "de"})


@pytest.mark.parametrize("seconds", [0.02, 3, 44])
def test_letters_are_those_that_the_library_hears(seconds: float, page_of: Callable[..., Hub], tmp_path: Path) -> None:
    sound, hub, told = stepped(seconds), page_of("letters"), list[str]()

    def hear(stage: str, progress: Progress | None) -> None:
        told.append(text_so_far(progress))

    answer = hub.engine.run("tiny", {"sound": sound}, on_event=hear).values["text"]
    heard = samples(sound)
    heard = np.pad(heard, (0, max(0, 8_000 - heard.size)))
    usual = pipeline("automatic-speech-recognition", tmp_path / "model", chunk_length_s=30, stride_length_s=5)
    assert answer == usual(heard)["text"].strip()
    texts = [text for text in told if text]
    assert texts or not answer
    assert all(len(a) <= len(b) for a, b in pairwise(texts)), "it grows"


@pytest.mark.parametrize("kind", ["audio-classification", "sound-classes"])
def test_labels_are_those_of_the_library_and_of_a_long_sound_what_its_parts_say(
    kind: str, page_of: Callable[..., Hub], tmp_path: Path
) -> None:
    hub = page_of(kind)
    usual = pipeline("audio-classification", tmp_path / "model", top_k=None)

    def expected(part: np.ndarray) -> dict[str, float]:
        return {row["label"]: row["score"] for row in usual(part)}

    short, long = stepped(2), stepped(16)
    assert hub.engine.run("tiny", {"sound": short}).values["labels"] == pytest.approx(
        expected(samples(short)), abs=1e-4
    )
    first, second = (expected(part) for part in np.array_split(samples(long), 2))
    mean = {name: (first[name] + second[name]) / 2 for name in first}
    assert hub.engine.run("tiny", {"sound": long}).values["labels"] == pytest.approx(mean, abs=1e-4)
    assert set(mean) == set(tiny_hearing.SOUNDS.values())


def test_a_page_hears_at_the_rate_of_its_model(page_of: Callable[..., Hub], tmp_path: Path) -> None:
    folder = tmp_path / "slow"
    folder.mkdir()
    tiny_hearing.letters(folder, rate=8_000)
    hub = page_of("", {file.name: file.read_bytes() for file in folder.iterdir()})
    (field,) = hub.registry.get("tiny").demo.inputs
    assert field.sample_rate == 8_000
    hub.engine.run("tiny", {"sound": sound_file()})
    source = tmp_path / "demos" / "tiny.py"
    source.write_text(source.read_text().replace("RATE = 8_000", "RATE = 16_000"))
    again = Hub(Settings(**{**vars_of(hub), "data": str(tmp_path / "again")}))
    with pytest.raises(UnavailableError, match="want sounds of 8000 samples a second, and the page gives 16000"):
        again.engine.run("tiny", {"sound": sound_file()})
    again.close()


def vars_of(hub: Hub) -> dict[str, Any]:
    names = ("device", "dtype", "pool_gb", "weights_folder", "demos_folder")
    return {name: getattr(hub.settings, name) for name in names}


def test_a_sound_that_is_too_long_is_refused_before_anything_is_loaded(page_of: Callable[..., Hub]) -> None:
    hub = page_of("audio-classification")
    with pytest.raises(TooLargeError, match="at most 60 s are read"):
        hub.engine.run("tiny", {"sound": stepped(64)})
    with pytest.raises(InputError, match="sound is missing: give a sound"):
        hub.engine.run("tiny", {})


@pytest.mark.parametrize("key", ["sampling_rate", "chunk_length", "n_fft"])
@pytest.mark.parametrize("value", [10**9, 0, "many", 1.5])
def test_a_preprocessing_of_sounds_that_would_fill_the_memory_is_refused(
    key: str, value: object, files_of: Callable[[str], Files], page_of: Callable[..., Hub]
) -> None:
    files = files_of("automatic-speech-recognition")
    file = "preprocessor_config.json"
    changed = {**files, file: json.dumps({**json.loads(files[file]), key: value}).encode()}
    with pytest.raises(UnavailableError, match=f"its preprocessing of sounds says {key} = "):
        page_of("", changed)


@pytest.mark.parametrize("size", [10**9, 10**5])
def test_a_number_of_features_that_would_fill_the_memory_is_refused(
    size: int, files_of: Callable[[str], Files], page_of: Callable[..., Hub]
) -> None:
    files = files_of("automatic-speech-recognition")
    file = "preprocessor_config.json"
    with pytest.raises(UnavailableError, match="feature_size"):
        page_of("", {**files, file: json.dumps({**json.loads(files[file]), "feature_size": size}).encode()})


def test_another_network_that_hears_is_refused_in_words(
    files_of: Callable[[str], Files], page_of: Callable[..., Hub]
) -> None:
    files = files_of("automatic-speech-recognition")
    config = {**json.loads(files["config.json"]), "model_type": "moonshine"}
    changed = {**files, "config.json": json.dumps(config).encode(), "README.md": card("automatic-speech-recognition")}
    with pytest.raises(UnavailableError, match=r"'moonshine'; the page for .* can ask whisper"):
        page_of("", changed)


def test_whisper_tells_its_text_as_it_grows_and_is_stopped_at_a_token(page_of: Callable[..., Hub]) -> None:
    hub, told, cancel = page_of("automatic-speech-recognition"), list[str](), Cancel()
    hub.engine.run("tiny", {"sound": sound_file()}, on_event=lambda stage, progress: told.append(text_so_far(progress)))
    texts = [text for text in told if text]
    assert texts and len(told) > len(set(texts)), "it is told while tokens come"

    def hear(stage: str, progress: Progress | None) -> None:
        if progress is not None:
            cancel.set()

    with pytest.raises(CancelledError):
        hub.engine.run("tiny", {"sound": sound_file(2)}, on_event=hear, cancel=cancel)
    hub.engine.run("tiny", {"sound": sound_file(3)})  # the model is free again


def test_a_text_is_the_librarys_and_by_chance_the_same_for_a_seed(page_of: Callable[..., Hub], tmp_path: Path) -> None:
    hub, told = page_of("text-generation"), list[str]()

    def write(**more: Any) -> str:
        asked = {"text": "a red car", "length": 20, "seed": 1, "temperature": 0.0, **more}
        hear = lambda stage, progress: told.append(text_so_far(progress))  # noqa: E731
        return str(hub.engine.run("tiny", asked, on_event=hear).values["text"])

    likeliest = write()
    usual = pipeline("text-generation", tmp_path / "model")
    (row,) = usual("a red car", max_new_tokens=20, do_sample=False)
    assert likeliest == row["generated_text"]
    assert [text for text in told if text] and all(likeliest.startswith(text) for text in told)

    model = pretrained(tmp_path / "model", ["AutoModelForCausalLM"], ["AutoTokenizer"])

    def drawn(seed: int) -> str:
        steps = written(model, "a red car", 20, 2.0, seed)
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                return str(stop.value)

    assert drawn(3) == drawn(3) == write(temperature=2.0, seed=3)
    assert len({drawn(seed) for seed in range(5)}) > 1


@pytest.mark.release
def test_a_model_process_tells_the_text_as_it_grows_and_is_stopped_at_a_token(
    page_of: Callable[..., Hub], tmp_path: Path
) -> None:
    folder = tmp_path / "endless"
    folder.mkdir()
    tiny_models.text_generation(folder, n_positions=1024, n_embd=64, n_layer=4, eos_token_id=None)
    alone = page_of("", {file.name: file.read_bytes() for file in folder.iterdir()})
    hub = Hub(Settings(**{**vars_of(alone), "data": f"{alone.settings.data}-served", "workers": "1"}), serving=True)
    told, cancel = list[str](), Cancel()

    def hear(stage: str, progress: Progress | None) -> None:
        told.append(text_so_far(progress))
        if told[-1]:
            cancel.set()

    try:
        with pytest.raises(CancelledError):
            hub.engine.run("tiny", {"text": "a red car", "length": 500, "seed": 1}, on_event=hear, cancel=cancel)
        assert told[-1].startswith("a red car")
        assert hub.engine.run("tiny", {"text": "a red car", "length": 10, "seed": 1}).values["text"]
    finally:
        hub.close()
