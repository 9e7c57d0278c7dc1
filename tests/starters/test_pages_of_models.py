"""A page from a Hub id: tiny models of each task, which the real client fetches from a local Hub, answer on it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.cli import main as cli
from hub.contract.answers import check_outputs, compare
from hub.contract.inputs import SHAPES, quick_inputs
from hub.contract.parts import Parts
from hub.errors import HubError, InputError, UnavailableError
from hub.hub import Hub
from hub.kit.pretrained import pretrained
from hub.pages.registry import discover
from hub.settings import Settings
from hub.spec import ImageInput
from hub.starters import making, serving, tasks
from hub.weights import extras, repository
from hub.weights.cards import front_of
from hub.weights.store import WeightsStore
from tests.fakes import picture, sound_file
from tests.hub_server import TOKEN, HubServer
from tests.starters.tiny_models import LABELS, card

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]  # transformers' own
Files = dict[str, bytes]
TASKS = [*dict.fromkeys(task.tag for task in tasks.TASKS)]
REPO = "someone/tiny-model"


@pytest.fixture
def store(tmp_path: Path) -> WeightsStore:
    return WeightsStore(tmp_path / "weights", tmp_path / "hub")


@pytest.fixture
def open_hub(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    made: list[Hub] = []

    def build(**given: Any) -> Hub:
        usual = {"device": "cpu", "dtype": "float32", "pool_gb": 1.0, "results_disk_mb": 0.0, "demos_folder": "demos"}
        folders = {name: str(tmp_path / name.removesuffix("_folder")) for name in ("weights_folder", "hub_folder")}
        options = {**usual, **folders, "data": str(tmp_path / "data"), "demos_folder": str(tmp_path / "demos"), **given}
        made.append(Hub(Settings(**options)))
        return made[-1]

    yield build
    for hub in made:
        hub.close()


def jpeg(side: int = 64) -> bytes:
    file = io.BytesIO()
    picture(side, side).save(file, "JPEG")
    return file.getvalue()


ALWAYS = {
    *("image-classification", "object-detection", "text-classification", "text-generation"),
    *("automatic-speech-recognition", "audio-classification"),
}
OTHERS = {  # architectures of a task beside its usual one here
    "detr": "object-detection",
    "blip-questions": "visual-question-answering",
    "panoptic": "image-segmentation",
    "mask2former": "image-segmentation",
    "maskformer": "image-segmentation",
    "english": "automatic-speech-recognition",
    "letters": "automatic-speech-recognition",
    "sound-classes": "audio-classification",
    "inpainting": "image-to-image",
}
KINDS = [kind if kind in ALWAYS else pytest.param(kind, marks=pytest.mark.release) for kind in (*TASKS, *OTHERS)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_written_and_keeps_the_contract(
    kind: str,
    hub_server: HubServer,
    files_of: Callable[[str], Files],
    store: WeightsStore,
    open_hub: Callable[..., Hub],
    tmp_path: Path,
) -> None:
    tag = OTHERS.get(kind, kind)
    if kind in extras.ASSIGNING:
        pytest.importorskip("scipy", reason="requirements-segment.txt is not installed")
    widget = [{"src": "photo.jpg", "example_title": 'A "cat"'}, {"text": "I like it"}, {"src": "speech.wav"}]
    shown_files = {"photo.jpg": jpeg(), "speech.wav": sound_file()}
    readme = card(tag, license="mit", widget=widget)
    commit = hub_server.add(REPO, {**files_of(kind), "README.md": readme, **shown_files})
    made = making.create_from(f"hf://{REPO}", "tiny", tmp_path / "demos", store)
    shown = kind not in ("visual-question-answering", "blip-questions", "inpainting")  # which ask for more than it has
    assert (made.repository.commit, made.repository.licence, made.examples) == (commit, "mit", int(shown))
    assert store.locked()[f"hf://{REPO}@main"].commit == commit
    hub = open_hub()
    page = hub.registry.get("tiny")
    assert page.error == ""
    demo = page.demo
    assert len(demo.examples) == shown
    for example in demo.examples:
        values = {n: page.assets / str(v) if n in ("image", "sound") else v for n, v in example.inputs.items()}
        check_outputs(demo, hub.engine.run("tiny", values), {"image": (64, 64)})
    check_outputs(demo, hub.engine.run("tiny", quick_inputs(demo)), {"image": (160, 120)})
    if "image" in {f.name for f in demo.inputs}:
        for make in SHAPES.values():
            image = make()
            check_outputs(demo, hub.engine.run("tiny", quick_inputs(demo, image)), {"image": image.size})
    check_batch(hub, "tiny")


def check_batch(hub: Hub, slug: str) -> None:
    """A batch answers as single runs do."""
    demo = hub.registry.get(slug).demo
    parts = Parts(hub, slug, demo.weights[0].name, "float32")
    sees = any(isinstance(f, ImageInput) and not f.draw for f in demo.inputs)
    requests = [quick_inputs(demo, picture(80, 60, seed=n)) if sees else parts.values(n) for n in range(2)]
    items = [parts.call("prepare", **values) for values in requests]
    for values, item, together in zip(requests, items, parts.infer(items), strict=True):
        (alone,) = parts.infer([item])
        compare(demo, "float32", *(parts.call("present", output, **values) for output in (alone, together)))


def test_the_page_answers_as_the_library_does(
    hub_server: HubServer,
    files_of: Callable[[str], Files],
    store: WeightsStore,
    open_hub: Callable[..., Hub],
    tmp_path: Path,
) -> None:
    import transformers

    files = files_of("text-classification")
    hub_server.add(REPO, files, tag="text-classification")
    making.create_from(f"hf://{REPO}", "tiny", tmp_path / "demos", store)
    answer = open_hub().engine.run("tiny", {"text": "a good film"}).values["labels"]
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    usual = transformers.pipeline("text-classification", str(tmp_path), top_k=None, device="cpu")
    (rows,) = usual(["a good film"])
    assert answer == pytest.approx({row["label"]: row["score"] for row in rows}, abs=1e-4)
    assert set(answer) == set(LABELS.values())


def test_a_repository_that_wants_its_own_code_or_has_pickles_alone_is_refused_with_the_reason(
    hub_server: HubServer, files_of: Callable[[str], Files], store: WeightsStore, tmp_path: Path
) -> None:
    files = files_of("image-classification")
    config = json.loads(files["config.json"])
    own = {**config, "auto_map": {"AutoModel": "modeling.Model"}}
    strange = {**config, "model_type": "unheard_of"}
    pickled = {"config.json": files["config.json"], "pytorch_model.bin": b"\x80\x04"}
    cases: list[tuple[Files, str]] = [
        ({**files, "config.json": json.dumps(own).encode(), "modeling.py": b"raise SystemExit"}, "auto_map in config"),
        ({**files, "config.json": json.dumps(strange).encode()}, "'unheard_of' for image-classification"),
        (pickled, "can run code when read"),
        ({**files, "README.md": card("robotics"), "config.json": b"{}"}, r"\(robotics\).* image-classification, obj"),
    ]
    for number, (repo, reason) in enumerate(cases):
        hub_server.add(f"someone/bad-{number}", repo)
        with pytest.raises(UnavailableError, match=reason):
            making.create_from(f"hf://someone/bad-{number}", "tiny", tmp_path / "demos", store)
    assert not (tmp_path / "demos" / "tiny.py").exists() and store.locked() == {}
    assert hub_server.count(r"modeling\.py|\.bin") == 0


@pytest.mark.parametrize(
    ("file", "changed", "reason"),
    [
        ("config.json", {"model_type": ["vit"]}, "no network of the kind"),
        ("config.json", {"num_hidden_layers": 10**9}, "num_hidden_layers = 1000000000, more than any"),
        ("config.json", {"text_config": {"depths": [1, 10**7]}}, "depths = 10000000"),
        ("config.json", {"attn_implementation": "someone/kernel"}, "attn_implementation in config.json"),
        ("preprocessor_config.json", {"auto_map": {"AutoImageProcessor": "x.Y"}}, "auto_map in preprocessor_config"),
        ("config.json", b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_config_that_no_library_wrote_is_refused_in_words(
    file: str, changed: Any, reason: str, files_of: Callable[[str], Files], store: WeightsStore, tmp_path: Path
) -> None:
    files = files_of("image-classification")
    config = changed if isinstance(changed, bytes) else json.dumps({**json.loads(files[file]), **changed}).encode()
    folder = written(tmp_path / "model", {**files, file: config})
    with pytest.raises(UnavailableError, match=reason):
        making.create_from(str(folder), "tiny", tmp_path / "demos", store)
    assert not (tmp_path / "demos" / "tiny.py").exists()


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"vocab_size": 10**9}, "16000 million numbers"),
        ({"dim": "many"}, "cannot run these weights as SequenceClassification"),
        ({"n_heads": 0}, "cannot run these weights as SequenceClassification"),
    ],
)
def test_weights_that_do_not_fit_their_config_are_refused_before_they_take_memory(
    changed: dict[str, Any], reason: str, files_of: Callable[[str], Files], tmp_path: Path
) -> None:
    files = files_of("text-classification")
    config = json.dumps({**json.loads(files["config.json"]), **changed}).encode()
    folder = written(tmp_path / "model", {**files, "config.json": config})
    with pytest.raises(UnavailableError, match=reason):
        pretrained(folder, ["AutoModelForSequenceClassification"], ["AutoTokenizer"])


def test_what_is_to_be_installed_is_told_in_one_line(
    files_of: Callable[[str], Files], store: WeightsStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_of("image-segmentation")
    config = {**json.loads(files["config.json"]), "model_type": "mask2former"}
    folder = written(tmp_path / "model", {**files, "config.json": json.dumps(config).encode()})
    monkeypatch.setattr(making, "find_spec", lambda name: None)
    with pytest.raises(UnavailableError, match=r"needs the package scipy: .*requirements-segment.txt"):
        making.create_from(str(folder), "tiny", tmp_path / "demos", store)


def test_a_pipeline_that_diffusers_does_not_know_is_refused(
    files_of: Callable[[str], Files], store: WeightsStore, tmp_path: Path
) -> None:
    weights = files_of("image-classification")["model.safetensors"]
    index = {"_class_name": "MyOwnPipeline", "unet": ["mine", "MyNet"]}
    folder = written(tmp_path / "model", {"model_index.json": json.dumps(index).encode(), "model.safetensors": weights})
    with pytest.raises(UnavailableError, match="no pipeline of the kind 'MyOwnPipeline' for text-to-image"):
        making.create_from(str(folder), "tiny", tmp_path / "demos", store)


def test_a_network_without_the_part_that_answers_is_refused(files_of: Callable[[str], Files], tmp_path: Path) -> None:
    from safetensors.numpy import load, save

    files = files_of("text-classification")
    body = {name: one for name, one in load(files["model.safetensors"]).items() if "classifier" not in name}
    folder = written(tmp_path / "model", {**files, "model.safetensors": save(body, {"format": "pt"})})
    with pytest.raises(UnavailableError, match=r"lack classifier\.bias, classifier\.weight, pre_classifier\.bias"):
        pretrained(folder, ["AutoModelForSequenceClassification"], ["AutoTokenizer"])


def test_a_card_that_unfolds_without_end_says_nothing(
    files_of: Callable[[str], Files], store: WeightsStore, tmp_path: Path
) -> None:
    lines = ["a0: &a0 {x: y}"]
    for n in range(9):
        lines.append(f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 10)}]}}")
    text = "---\n" + "\n".join([*lines, "license: mit"]) + "\n---\n"
    for number, bad in enumerate([text, "---\nwhen: !!timestamp soon\nlicense: mit\n---\n"]):
        files = {**files_of("text-classification"), "README.md": bad.encode()}
        folder = written(tmp_path / f"model{number}", files)
        made = making.create_from(str(folder), f"tiny_{number}", tmp_path / "demos", store)
        assert made.repository.licence == ""
        with pytest.raises(UnavailableError, match="cannot be read"):
            store.card(f"tiny_{number}")


def written(folder: Path, files: Files) -> Path:
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def test_a_card_of_empty_lines_takes_no_time_and_a_front_is_read_whatever_ends_its_lines() -> None:
    assert front_of("---\n" + "\n" * 200_000) == {}
    assert front_of("\n---\r\nlicense: mit\r\n---\r\n# A model\n---\n") == {"license": "mit"}
    assert front_of("# A model") == front_of("") == {}


@pytest.mark.parametrize("size", [{"height": 10**6, "width": 10**6}, {"shortest_edge": 10**6}, 10**6, [10**6, 10**6]])
def test_a_preprocessing_that_makes_pictures_huge_is_refused(
    files_of: Callable[[str], Files], tmp_path: Path, size: object
) -> None:
    for name, data in files_of("image-classification").items():
        (tmp_path / name).write_bytes(data)
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "size": size}), encoding="utf-8")
    with pytest.raises(UnavailableError, match="its preprocessing makes pictures of 1000000 px"):
        repository.read_folder(tmp_path)


def test_what_a_card_says_is_text_and_never_code(
    hub_server: HubServer, files_of: Callable[[str], Files], store: WeightsStore, tmp_path: Path
) -> None:
    evil = '""")\nimport os; os._exit(9)\n# import Demo, WEIGHTS MODEL_NAME'
    widget = [{"text": evil, "example_title": evil}, {"text": 5}, "no entry", {"src": "https://elsewhere.org/cat.jpg"}]
    more = {"license": evil, "widget": [*widget, {"src": "../../secret.jpg"}]}
    hub_server.add(REPO, {**files_of("text-classification"), "README.md": card("text-classification", **more)})
    made = making.create_from(f"hf://{REPO}", "tiny", tmp_path / "demos", store)
    assert made.repository.licence == ""
    page = discover(tmp_path / "demos").get("tiny")
    assert page.error == "" and [e.inputs["text"] for e in page.demo.examples] == [evil]
    assert "states no licence" in page.demo.note


def test_a_gated_repository_says_so_on_its_page(
    hub_server: HubServer,
    files_of: Callable[[str], Files],
    store: WeightsStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = {**files_of("text-classification"), "README.md": card(license="apache-2.0")}
    hub_server.add(REPO, files, gated=True)
    with pytest.raises(UnavailableError, match="accept terms"):
        making.create_from(f"hf://{REPO}", "tiny", tmp_path / "demos", store)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    making.create_from(f"hf://{REPO}", "tiny", tmp_path / "demos", store)
    assert discover(tmp_path / "demos").get("tiny").demo.note == making.GATED


def test_the_command_writes_a_page_for_a_folder_and_says_what_it_is(
    files_of: Callable[[str], Files], open_hub: Callable[..., Hub], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path / "my-model", {**files_of("object-detection"), "README.md": card(license="mit")})
    places = ["--demos-folder", str(tmp_path / "demos"), "--weights-folder", str(tmp_path / "weights")]
    asked = ["new", "my_finder", "--from", str(folder), *places, "--data", str(tmp_path / "data")]
    assert cli.main(asked) == 0
    told = capsys.readouterr().out
    assert "object-detection with my-model" in told and "Licence: mit." in told
    result = open_hub().engine.run("my_finder", {"image": picture(80, 60), "least": 0.0})
    assert {box["label"] for box in result.values["objects"]["boxes"]} <= {*LABELS.values(), "class 3"}
    assert cli.main(asked) == 2 and "exists already" in capsys.readouterr().err


def test_a_model_is_served_at_once_and_again_when_the_hub_does_not_answer(
    hub_server: HubServer, files_of: Callable[[str], Files], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    hub_server.add(REPO, {**files_of("image-classification"), "README.md": card("image-classification")})
    base = Settings(device="cpu", dtype="float32", pool_gb=1.0, data=str(tmp_path / "data"), results_disk_mb=0.0)
    settings = serving.with_models(base, [f"hf://{REPO}"])
    hub = Hub(settings)
    assert list(hub.registry.pages) == ["tiny_model"]
    classes = hub.engine.run("tiny_model", {"image": picture()}).values["classes"]
    hub.close()
    assert sum(classes.values()) == pytest.approx(1, abs=1e-4) and set(classes) == set(LABELS.values())
    hub_server.repos.clear()
    with caplog.at_level(logging.WARNING):
        assert serving.with_models(base, [f"hf://{REPO}"]) == settings
    assert "Serving the page of an earlier start." in caplog.text
    with pytest.raises(HubError):
        serving.with_models(base, ["hf://someone/other-tiny-model"])


def test_a_folder_that_is_served_is_linked_to_and_may_change(files_of: Callable[[str], Files], tmp_path: Path) -> None:
    folder = written(tmp_path / "my model", files_of("text-classification"))
    base = Settings(device="cpu", dtype="float32", pool_gb=1.0, data=str(tmp_path / "data"), results_disk_mb=0.0)
    for labels in (LABELS, {0: "bad", 1: "good", 2: "neither"}):
        config = json.loads((folder / "config.json").read_bytes())
        (folder / "config.json").write_text(json.dumps({**config, "id2label": labels}))
        hub = Hub(serving.with_models(base, [str(folder)]))
        assert set(hub.engine.run("my_model", {"text": "a film"}).values["labels"]) == set(labels.values())
        hub.close()
    link = tmp_path / "data" / "models" / "weights" / "my_model"
    assert link.is_symlink() and link.resolve() == folder


def test_names_of_models_become_addresses_that_differ() -> None:
    taken: list[str] = []
    for source in ("hf://a/2D-net", "hf://b/2D-net", "hf://c/Api", f"hf://d/{'long-' * 15}name"):
        taken.append(serving._slug(source, taken))
    assert taken[:3] == ["model_2d_net", "model_2d_net_2", "api_model"] and len(taken[3]) <= 40
    with pytest.raises(InputError):
        serving._slug("hf://no-owner", [])


def test_a_depth_map_is_bright_where_the_network_says_most() -> None:
    from hub.images import heat_picture

    shade = heat_picture(np.array([[0.0, 0.5, 1.0]], np.float32))
    assert isinstance(shade, Image.Image)
    brightness = [sum(shade.getpixel((x, 0))) for x in range(3)]  # type: ignore[arg-type]  # RGB
    assert brightness == sorted(brightness) and brightness[0] < 30
