"""Repositories in their native formats run on the real pages, with the class names they bring."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub import describe
from hub.errors import InputError, UnavailableError
from hub.hub import Hub
from hub.pages.registry import discover
from hub.settings import ROOT, Settings
from hub.weights import facts as weights_facts
from hub.weights.snapshots import Snapshots
from hub.weights.sources import apply, choices, parse_hub
from tests.fakes import picture, registry_of, shade_demo
from tests.hub_server import HubServer
from tests.weights.conftest import model_files

PAGE = "vehicle_classifier"
NAMES = ["bus", "tram", "ferry"]


def files_in(folder: Path) -> dict[str, bytes]:
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def timm_files(tmp_path: Path) -> Callable[..., dict[str, bytes]]:
    """What timm itself writes for one of its smallest architectures."""

    def make(architecture: str = "test_resnet", names: list[str] | None = None, classes: int = 3) -> dict[str, bytes]:
        import timm
        import torch
        from timm.models import save_for_hf

        torch.manual_seed(0)
        model = timm.create_model(architecture, num_classes=classes)
        config = {"label_names": names} if names else {}
        folder = tmp_path / f"{architecture}-{classes}"
        save_for_hf(model, folder, model_config=config, safe_serialization=True)
        return files_in(folder)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Hub]]:
    """A hub with one page, as `--weights` and `--demos` make it."""
    made: list[Hub] = []

    def make(weights: str, page: str = PAGE, **options: Any) -> Hub:
        settings = {"device": "cpu", "dtype": "float32", "pool_gb": 1.0, "results_disk_mb": 0.0, **options}
        made.append(Hub(Settings(weights=weights, demos=page, data=str(tmp_path / "data"), **settings)))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


@pytest.mark.parametrize("architecture", ["test_resnet", "test_vit"])
def test_any_timm_architecture_runs_with_its_own_class_names(
    hub_server: HubServer, timm_files: Callable[..., dict[str, bytes]], start: Callable[..., Hub], architecture: str
) -> None:
    commit = hub_server.add("someone/vehicles", timm_files(architecture, NAMES))
    hub = start(f"{PAGE}=hf://someone/vehicles")
    result = hub.engine.run(PAGE, {"image": picture()})
    assert set(result.values["probabilities"]) == set(NAMES)
    assert result.receipt.weights == "hf://someone/vehicles@main"
    facts = {fact.name: fact for fact in weights_facts.weights_facts(hub.weights, hub.registry.get(PAGE))}
    assert facts["hf://someone/vehicles@main"].commit == commit
    assert facts["hf://someone/vehicles@main"].digest == result.receipt.digest
    assert "Hugging Face Hub" in facts["hf://someone/vehicles@main"].source


def test_the_bundled_weights_stay_a_choice_beside_those_of_the_hub(
    hub_server: HubServer, timm_files: Callable[..., dict[str, bytes]], start: Callable[..., Hub]
) -> None:
    hub_server.add("someone/vehicles", timm_files(names=NAMES))
    hub = start(f"{PAGE}=hf://someone/vehicles@main")
    assert [w.name for w in hub.registry.get(PAGE).demo.weights] == ["hf://someone/vehicles@main", PAGE]
    image = picture()
    other = hub.engine.run(PAGE, {"image": image})
    bundled = hub.engine.run(PAGE, {"image": image, "weights": PAGE})
    assert set(bundled.values["probabilities"]) == {"ordinary", "emergency"}
    assert other.id != bundled.id
    with pytest.raises(InputError):  # a visitor chooses among what the hub was started with, and nothing else
        hub.engine.run(PAGE, {"image": image, "weights": "hf://someone/else@main"})


def test_an_imagenet_model_without_names_gets_the_thousand_names(
    hub_server: HubServer, timm_files: Callable[..., dict[str, bytes]], start: Callable[..., Hub]
) -> None:
    hub_server.add("timm/any", timm_files(classes=1000))
    result = start(f"{PAGE}=hf://timm/any").engine.run(PAGE, {"image": picture()})
    assert {"ambulance", "fire engine, fire truck"} <= set(result.values["probabilities"])
    assert len(result.values["probabilities"]) == 1000


FACES = ["0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70"]
CERTAIN = {"30-39": 0.6, "40-49": 0.4}


@pytest.mark.filterwarnings("default")  # transformers' own
def test_a_classifier_of_age_bands_tells_years_on_the_age_page(
    hub_server: HubServer, start: Callable[..., Hub], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        id2label=dict(enumerate(FACES)), label2id={name: number for number, name in enumerate(FACES)},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    with torch.no_grad():  # the same answer for any face
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([CERTAIN.get(name, 1e-9) for name in FACES]).log())
    model.save_pretrained(tmp_path / "vit")
    hub_server.add("someone/fairface", files_in(tmp_path / "vit"))
    page = "age_regression"
    hub = start(f"{page}=hf://someone/fairface", page)
    (row,) = hub.engine.run(page, {"image": picture(80, 80), "faces": "the picture is one face"}).values["faces"]
    assert row["age"] == pytest.approx(30 + 10 * 0.5 / 0.6, abs=0.1)  # half of the people are younger
    assert (row["low"], row["high"]) == pytest.approx((30 + 10 * 0.1 / 0.6, 40 + 10 * 0.3 / 0.4), abs=0.1)
    assert hub.engine.run(page, {"image": picture(80, 80)}).values["faces"] == [], "no face, and no model in trouble"


def test_weights_that_tell_no_age_are_named_before_they_are_loaded(
    hub_server: HubServer, timm_files: Callable[..., dict[str, bytes]], start: Callable[..., Hub]
) -> None:
    hub_server.add("someone/vehicles", timm_files(names=NAMES))
    page = "age_regression"
    hub = start(f"{page}=hf://someone/vehicles", page)
    with pytest.raises(UnavailableError, match=r"age bands such as '20-29'.* class 'bus'"):
        hub.engine.run(page, {"image": picture()})


@pytest.mark.parametrize(
    ("label", "band"),
    [("0-2", (0, 3)), ("10 to 19", (10, 20)), ("70+", (70, 100)), ("Over 70 years", (70, 100)), ("34", (34, 35)),
     ("under 3", (0, 3)), ("(25, 32)", (25, 33)), ("9-3", None), ("adult", None)],
)  # fmt: skip
def test_age_bands_are_read_as_repositories_write_them(label: str, band: tuple[float, float] | None) -> None:
    from hub.kit.ages import bands

    if band:
        assert bands([label]) == [band]
    else:
        with pytest.raises(UnavailableError, match="age bands"):
            bands([label])


@pytest.mark.filterwarnings("default")  # transformers' own
def test_a_transformers_classifier_runs_with_its_own_names_and_preprocessing(
    hub_server: HubServer, start: Callable[..., Hub], tmp_path: Path
) -> None:
    transformers = pytest.importorskip("transformers")
    bands = {0: "0-2", 1: "3-9", 2: "10-19"}
    config = transformers.ViTConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=16,
        id2label=bands, label2id={name: number for number, name in bands.items()},
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).eval()
    model.save_pretrained(tmp_path / "vit")
    processor = {"size": {"height": 32, "width": 32}, "resample": 3, "image_mean": [0.1] * 3, "image_std": [0.2] * 3}
    more = {"preprocessor_config.json": json.dumps(processor).encode(), "modeling_vit.py": b"raise SystemExit"}
    files = files_in(tmp_path / "vit")
    # A repository that wants its own code run: it is neither fetched nor asked for.
    own = {**json.loads(files["config.json"]), "auto_map": {"AutoModelForImageClassification": "modeling_vit.Model"}}
    hub_server.add("someone/ages", {**files, **more, "config.json": json.dumps(own).encode()})
    hub = start(f"{PAGE}=hf://someone/ages")
    image = picture(40, 30)
    answer = hub.engine.run(PAGE, {"image": image, "views": "photo as it is"}).values["probabilities"]

    import torch

    pixels = (np.asarray(image.resize((32, 32), Image.Resampling.BICUBIC), np.float32) / 255 - 0.1) / 0.2
    with torch.inference_mode():
        expected = model(torch.from_numpy(pixels.transpose(2, 0, 1))[None]).logits.softmax(1)[0]
    assert answer == pytest.approx(dict(zip(bands.values(), expected.tolist(), strict=True)), abs=1e-4)
    assert hub_server.count(r"modeling_vit\.py") == 0
    with pytest.raises(InputError, match="why must be 'off'"):
        hub.engine.run(PAGE, {"image": image, "why": "the answer"})


def test_a_pipeline_of_diffusers_comes_from_the_hub_and_draws(
    hub_server: HubServer, start: Callable[..., Hub], tmp_path: Path
) -> None:
    from weights.stable_diffusion import model

    parts = {"unet": model.denoiser(), "text_encoder": model.text_encoder(), "vae": model.autoencoder()}
    model.save_pipeline(parts, tmp_path / "pipeline")
    hub_server.add("someone/shapes", {**files_in(tmp_path / "pipeline"), "unet/diffusion_pytorch_model.bin": b"pickle"})
    page, demos = "stable_diffusion", tmp_path / "demos"
    shutil.copytree(ROOT / "demos" / "assets" / page, demos / "assets" / page)
    shutil.copy(ROOT / "demos" / f"{page}.py", demos)
    hub = start(f"{page}=hf://someone/shapes", page, demos_folder=str(demos))
    result = hub.engine.run(page, {"prompt": "a red circle", "steps": 2, "seed": 1})
    assert result.receipt.weights == "hf://someone/shapes@main"
    assert [row["seed"] for row in result.values["settings"]] == [1] and len(result.pictures["pictures"]) == 1
    assert hub_server.count(r"\.bin") == 0, "pickles are not even fetched"


def test_the_photos_middle_is_cut_where_the_model_was_trained_so() -> None:
    from torchvision.transforms.v2 import functional

    from hub.kit.networks import model_input

    settings = {"input_size": [3, 64, 64], "interpolation": "bilinear", "crop_pct": 0.8, "crop_mode": "center"}
    image = picture(200, 120)
    bilinear = functional.InterpolationMode.BILINEAR
    usual = functional.center_crop(functional.resize(image, [80], interpolation=bilinear), [64])
    difference = np.abs(np.asarray(model_input(image, settings), float) - np.asarray(usual, float))
    assert difference.mean() < 0.5
    assert model_input(picture(3000, 8), settings).size == (64, 64)
    squashed = model_input(image, {**settings, "crop_mode": "squash"})
    assert squashed.tobytes() == image.resize((64, 64), Image.Resampling.BILINEAR).tobytes()


def test_a_folder_on_this_disk_is_a_source_and_its_path_stays_private(
    timm_files: Callable[..., dict[str, bytes]], start: Callable[..., Hub], tmp_path: Path
) -> None:
    timm_files(names=NAMES)
    folder = tmp_path / "test_resnet-3"
    hub = start(f"{PAGE}={folder}")
    result = hub.engine.run(PAGE, {"image": picture()})
    assert set(result.values["probabilities"]) == set(NAMES)
    assert result.receipt.weights == "local:test_resnet-3"
    assert str(tmp_path) not in json.dumps(
        weights_facts.weights_facts(hub.weights, hub.registry.get(PAGE)), default=str
    )


def test_a_folder_of_smps_save_pretrained_runs_with_numbered_classes(
    hub_server: HubServer, start: Callable[..., Hub], tmp_path: Path
) -> None:
    import segmentation_models_pytorch as smp

    model = smp.Unet(
        "tu-test_resnet", encoder_depth=4, decoder_channels=(32, 16, 8, 8), encoder_weights=None, classes=5
    )
    model.save_pretrained(tmp_path / "unet")
    files = files_in(tmp_path / "unet")
    config = json.loads(files["config.json"])
    # As people publish them: with the name of weights that a load would fetch.
    files["config.json"] = json.dumps({**config, "encoder_weights": "imagenet"}).encode()
    hub_server.add("someone/streets", files)
    page = "camvid_segmentation"
    result = start(f"{page}=hf://someone/streets", page).engine.run(page, {"image": picture(200, 150)})
    assert {row["class"] for row in result.values["legend"]} == {f"class {number}" for number in range(5)}


def test_transforms_beside_an_smp_model_are_its_preprocessing(hub_server: HubServer, snapshots: Snapshots) -> None:
    from hub.weights.formats import config_of

    steps = [
        {"__class_fullname__": "Resize", "height": 768, "width": 768},
        {"__class_fullname__": "Normalize", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]},
    ]
    transforms = json.dumps({"transform": {"transforms": steps}}).encode()
    more = {"albumentations_config_eval.json": transforms}
    hub_server.add("smp-hub/any", model_files(config={"_model_class": "Segformer", "classes": 2}, **more))
    settings = config_of(snapshots.get(parse_hub("hf://smp-hub/any")).folder, "any")["_preprocessing"]
    assert (settings["height"], settings["width"]) == (768, 768)
    assert (settings["mean"], settings["std"]) == ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6])


# --- the choice -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("vehicle_classifier", "NAME=SOURCE"),
        ("vehicle_classifier=", "NAME=SOURCE"),
        ("vehicle=hf://a/b", "Did you mean 'vehicle_classifier'?"),
        ("vehicle_classifier=a/b", "hf://owner/name"),
        ("vehicle_classifier=hf://a", "hf://owner/name"),
        ("vehicle_classifier=hf://a/../b", "hf://owner/name"),
        ("vehicle_classifier=hf://a/b/../../c", "hf://owner/name"),
        ("vehicle_classifier=https://huggingface.co/a/b", "hf://owner/name"),
    ],
)
def test_a_source_that_is_none_is_told_with_what_is_allowed(text: str, told: str) -> None:
    with pytest.raises(InputError, match=r"(?s).*") as caught:
        apply(discover(only=[PAGE]), choices(text))
    assert told in caught.value.message


def test_a_repository_that_disappeared_names_the_next_one(hub_server: HubServer, start: Callable[..., Hub]) -> None:
    hub = start(f"{PAGE}=hf://timm/resnet34.a1_in1k")
    with pytest.raises(UnavailableError) as caught:
        hub.engine.run(PAGE, {"image": picture()})
    assert "removed" in caught.value.message
    assert "The next in the catalogue: hf://timm/tf_efficientnet_lite0.in1k" in caught.value.message
    state = describe.state(hub, hub.registry.get(PAGE))
    assert (state.code, "removed" in state.reason) == ("unavailable", True)
    assert hub.engine.run(PAGE, {"image": picture(), "weights": PAGE}).values["probabilities"]


def test_every_entry_of_the_catalogue_is_an_address_of_a_known_page() -> None:
    from hub.weights import catalogue

    entries = catalogue.read()
    assert len({entry.address for entry in entries}) == len(entries) >= 10
    known = {"vehicle_classifier", "camvid_segmentation", "satellite_labels", "age_regression", "stable_diffusion"}
    assert {entry.page for entry in entries} == known
    assert all(entry.about.endswith(".") and entry.licence and entry.known in ("page", "notes") for entry in entries)
    assert "stable-diffusion-v1-5" in catalogue.instead_of("runwayml/stable-diffusion-v1-5")


def test_a_demo_that_declares_a_source_which_is_none_is_a_page_that_says_so() -> None:
    from hub.spec import Weights

    wrong, right = shade_demo(weights=(Weights("shade", sources=("a/b",)),)), shade_demo(weights=(Weights("shade"),))
    registry, _ = apply(registry_of(wrong=wrong, right=right), {})
    assert "'a/b' is no source of weights 'shade'" in registry.get("wrong").error
    assert registry.get("right").declared


def test_sources_that_a_demo_declares_are_choices(tmp_path: Path) -> None:
    from hub.spec import Weights

    demo = shade_demo(weights=(Weights("shade", sources=("hf://a/b", "hf://c/d@v1")),))
    registry, _ = apply(registry_of(shade=demo), choices("shade=hf://c/d@v1"))
    names = [w.name for w in registry.get("shade").demo.weights]
    assert names == ["hf://c/d@v1", "shade", "hf://a/b@main"]
