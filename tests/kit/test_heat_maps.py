"""Heat maps of the classification pages: they show what the model used, and using them changes nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from starlette.testclient import TestClient
from timm.models import ResNet, SwinTransformer, VisionTransformer
from timm.models.resnet import BasicBlock
from torch import nn

from hub.errors import InputError
from hub.execution import devices
from hub.hub import Hub
from hub.images import heat_map
from hub.kit import heat_maps as why
from hub.kit.heat_maps import OFF, classify
from hub.pages.registry import Registry, discover
from hub.settings import Settings
from tests.fakes import picture, skip_if_emulated
from tests.web.doors import app_of

pytestmark = pytest.mark.slow

ASSETS = Path(__file__).resolve().parents[2] / "demos" / "assets"
VEHICLES = ["police_car", "ambulance", "fire_engine", "hatchback", "pickup", "saloon"]
AERIALS = ["houses", "harbour", "courts", "car_park"]
PAGES = {"vehicle_classifier": VEHICLES, "satellite_labels": AERIALS}
FORESTS = {
    "forest_river": {"primary", "clear", "water"},
    "forest_fields": {"primary", "clear", "agriculture", "road", "water"},
    "forest_clouds": {"primary", "partly_cloudy"},
}
NAMES = ["ordinary", "emergency"]
every_page = pytest.mark.parametrize("slug", PAGES)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "bfloat16"])


def example(slug: str, name: str) -> Image.Image:
    with Image.open(ASSETS / slug / f"{name}.jpg") as file:
        return file.convert("RGB")


@pytest.fixture(scope="module")
def make_hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Hub]]:
    made: list[Hub] = []

    def make() -> Hub:
        found = discover()
        data = str(tmp_path_factory.mktemp("data"))
        registry = Registry({slug: found.pages[slug] for slug in PAGES})
        made.append(Hub(Settings(device="cpu", dtype="float32", pool_gb=1.0, data=data), registry))
        return made[-1]

    yield make
    for hub in made:
        hub.close()


@pytest.fixture(scope="module")
def hub(make_hub: Callable[[], Hub]) -> Hub:
    return make_hub()


class Parts:
    """A page's model and functions, placed and called as the engine does it."""

    def __init__(self, hub: Hub, slug: str, dtype: str):
        self.demo = hub.registry.get(slug).demo
        folder = hub.weights.find(self.demo.weights[0].name)
        self.config, device = folder.config, torch.device("cpu")
        self.model: nn.Module = devices.place(self.demo.load(folder.path, device), device, getattr(torch, dtype))
        self.defaults = {f.name: f.default for f in self.demo.inputs if hasattr(f, "default")}

    def answers(self, images: list[Image.Image], whys: list[str]) -> list[dict[str, NDArray[np.float32]]]:
        requests = [{**self.defaults, "image": image, "why": w} for image, w in zip(images, whys, strict=True)]
        items = [self.demo.prepare(**request, config=self.config) for request in requests]
        with torch.inference_mode():
            answers: list[dict[str, NDArray[np.float32]]] = self.demo.infer(self.model, items, config=self.config)
        return answers


@pytest.fixture(scope="module")
def parts(hub: Hub) -> Callable[..., Parts]:
    return cache(lambda slug, dtype="float32": Parts(hub, slug, dtype))


# --- what the maps show ---------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["police_car", "pickup"])
def test_the_heat_is_where_the_vehicle_is(name: str, side: str, parts: Callable[..., Parts]) -> None:
    photo = example("vehicle_classifier", name)
    wide = Image.new("RGB", (2 * photo.width, photo.height), "grey")
    wide.paste(photo, (0 if side == "left" else photo.width, 0))
    (answer,) = parts("vehicle_classifier").answers([wide], ["the answer"])
    halves = answer["cam"][:, :3].sum(), answer["cam"][:, 4:].sum()  # of seven columns
    here, elsewhere = halves if side == "left" else halves[::-1]
    assert here > 4 * elsewhere


def without(image: Image.Image, cells: NDArray[np.float32], share: float = 0.2) -> Image.Image:
    """The picture blurred away where `cells` are highest, on `share` of its pixels."""
    heat = np.asarray(Image.fromarray(cells).resize(image.size, Image.Resampling.BICUBIC))
    hot = heat > np.quantile(heat, 1 - share)
    blurred = image.filter(ImageFilter.GaussianBlur(max(image.size) / 19))
    return Image.composite(blurred, image, Image.fromarray(hot.astype(np.uint8) * 255))


@pytest.mark.release
@every_page
def test_without_its_hottest_fifth_a_picture_loses_more_than_without_a_random_fifth(
    slug: str, parts: Callable[..., Parts]
) -> None:
    page, images = parts(slug), [example(slug, name) for name in PAGES[slug]]
    answers = page.answers(images, ["strongest" if slug == "satellite_labels" else "the answer"] * len(images))
    classes = [int(answer["logits"].argmax()) for answer in answers]
    chance = np.random.default_rng(0)

    def lost(maps: list[NDArray[np.float32]]) -> float:
        """Mean fall of the class's probability against all others (or against its absence)."""
        changed = page.answers([without(i, m) for i, m in zip(images, maps, strict=True)], [OFF] * len(images))
        return float(np.mean([share(a, c) - share(b, c) for a, b, c in zip(answers, changed, classes, strict=True)]))

    def share(answer: dict[str, NDArray[np.float32]], index: int) -> float:
        logits = answer["logits"]
        return float(1 / (1 + np.exp(-(2 * logits[index] - logits.sum() if len(logits) == 2 else logits[index]))))

    shape = answers[0]["cam"].shape
    random = [lost([chance.random(shape, dtype=np.float32) for _ in images]) for _ in range(3)]
    hottest = lost([answer["cam"] for answer in answers])
    print(f"{slug}: hottest {hottest:.3f}, random {np.mean(random):.3f}")
    assert hottest > max(random) + 0.05


def test_the_map_is_the_share_of_each_place_in_the_lead_of_the_class(parts: Callable[..., Parts]) -> None:
    # Behind the last map this network has a mean and a linear layer: the exact answer can be written down.
    page = parts("vehicle_classifier")
    model: Any = page.model
    photos = [example("vehicle_classifier", name) for name in ("police_car", "saloon")]
    requests = [{**page.defaults, "image": photo, "views": "photo as it is"} for photo in photos]
    pixels = [page.demo.prepare(**request, config=page.config)["pixels"] for request in requests]
    with torch.inference_mode():
        answers = classify(model, pixels, ["emergency", "ordinary"], NAMES, exclusive=True)
        features = model.forward_features(torch.from_numpy(np.concatenate(pixels)))
        weight = model.get_classifier().weight
        leads = torch.einsum("nchw,c->nhw", features, weight[1] - weight[0]).numpy()
    assert answers[0]["cam"] == pytest.approx(np.maximum(leads[0], 0), abs=1e-3)
    assert answers[1]["cam"] == pytest.approx(np.maximum(-leads[1], 0), abs=1e-3)
    assert leads[0].max() > 5 and leads[1].min() < -5  # else nothing was compared


def test_what_speaks_for_one_class_does_not_speak_for_the_other(parts: Callable[..., Parts]) -> None:
    photo = example("vehicle_classifier", "saloon")
    for_it, against = parts("vehicle_classifier").answers([photo] * 2, ["ordinary", "emergency"])
    assert for_it["cam"].max() > 5 * against["cam"].max() > 0
    a, b = for_it["cam"].ravel(), against["cam"].ravel()
    assert np.corrcoef(a, b)[0, 1] < 0


def test_labels_of_one_picture_have_maps_of_their_own(parts: Callable[..., Parts]) -> None:
    photo = example("satellite_labels", "houses")
    cars, buildings = parts("satellite_labels").answers([photo] * 2, ["cars", "buildings"])
    hottest = [np.unravel_index(answer["cam"].argmax(), answer["cam"].shape) for answer in (cars, buildings)]
    assert hottest[0] != hottest[1]


# --- what they leave alone ------------------------------------------------------------------------


def hooks(model: nn.Module) -> int:
    kept = [value for module in model.modules() for name, value in vars(module).items() if name.endswith("_hooks")]
    return sum(len(entries) for entries in kept)


@every_dtype
@every_page
def test_a_batch_of_four_is_as_four_single_runs(slug: str, dtype: str, parts: Callable[..., Parts]) -> None:
    skip_if_emulated(dtype)
    page = parts(slug, dtype)
    images, whys = [example(slug, name) for name in PAGES[slug][:4]], list(page.config["label_names"][:2])
    whys = [*whys, OFF, "whatever is strongest"]
    together = page.answers(images, whys)
    assert ["cam" in answer for answer in together] == [True, True, False, True]
    for image, word, one in zip(images, whys, together, strict=True):
        (alone,) = page.answers([image], [word])
        assert alone.keys() == one.keys()
        for name in alone:
            assert alone[name].dtype == np.float32 and alone[name].shape == one[name].shape
            # The contract's tolerance for a probability (1e-4, 0.02), in parts of the largest number.
            most = (1e-4 if dtype == "float32" else 0.02) * max(1.0, float(np.abs(alone[name]).max()))
            assert one[name] == pytest.approx(alone[name], abs=2 * most), name


@every_page
def test_the_model_is_as_before(slug: str, parts: Callable[..., Parts]) -> None:
    page, image = parts(slug), example(slug, PAGES[slug][0])
    state = {name: value.clone() for name, value in page.model.state_dict().items()}
    asked, plain = page.answers([image, image], ["strongest", OFF])
    assert asked["logits"] == pytest.approx(plain["logits"], abs=1e-5)
    assert hooks(page.model) == 0
    assert not page.model.training
    assert all(p.grad is None and not p.requires_grad for p in page.model.parameters())
    assert all(torch.equal(value, state[name]) for name, value in page.model.state_dict().items())


def test_a_run_without_it_does_nothing_for_it(parts: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(why, "class_maps", None)  # calling it would fail
    page, image = parts("vehicle_classifier"), example("vehicle_classifier", "saloon")
    (answer,) = page.answers([image], [OFF])
    assert set(answer) == {"logits", "embedding"}
    with pytest.raises(TypeError):
        page.answers([image], ["the answer"])


@pytest.mark.slow
def test_plain_runs_and_runs_with_a_map_do_not_disturb_each_other(hub: Hub, make_hub: Callable[[], Hub]) -> None:
    quiet, busy = hub, make_hub()
    requests = [
        {"image": ASSETS / "vehicle_classifier" / f"{name}.jpg", "why": word}
        for name, word in product(VEHICLES[::2], (OFF, *NAMES))
    ]

    def ask(hub: Hub, request: dict[str, Any]) -> tuple[dict[str, float], list[str], float]:
        result = hub.engine.run("vehicle_classifier", request)
        drawn = [np.asarray(Image.open(io.BytesIO(p.data)), np.float32) for p in result.pictures.get("why", ())]
        captions = [p.caption for p in result.pictures.get("why", ())]
        return result.values["probabilities"], captions, float(sum(pixels.mean() for pixels in drawn))

    alone = [ask(quiet, request) for request in requests]
    with ThreadPoolExecutor(12) as threads:
        mixed = list(threads.map(lambda request: ask(busy, request), requests))
    for request, one, other in zip(requests, alone, mixed, strict=True):
        assert other[0] == pytest.approx(one[0], abs=1e-4), request
        assert (other[1] == one[1]) and bool(one[1]) == (request["why"] != OFF)
        assert other[2] == pytest.approx(one[2], abs=0.5), request


# --- other architectures --------------------------------------------------------------------------

ARCHITECTURES: dict[str, tuple[Callable[[], nn.Module], tuple[int, int]]] = {
    "convolutions": (lambda: ResNet(BasicBlock, (1, 1, 1, 1), num_classes=3, channels=(8, 8, 16, 16)), (2, 2)),
    "channels last": (
        lambda: SwinTransformer(
            img_size=64, embed_dim=12, depths=(1, 1), num_heads=(1, 2), window_size=4, num_classes=3
        ),
        (8, 8),
    ),
    "tokens, averaged": (
        lambda: VisionTransformer(
            64, 16, embed_dim=24, depth=1, num_heads=2, num_classes=3, global_pool="avg", class_token=True
        ),
        (4, 4),
    ),
}


@every_dtype
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_the_map_is_found_from_the_model(kind: str, dtype: str) -> None:
    torch.manual_seed(0)
    build, shape = ARCHITECTURES[kind]
    model = devices.place(build(), torch.device("cpu"), getattr(torch, dtype))
    pixels = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    with torch.inference_mode():
        answers = [classify(model, [pixels], [word], list("abc"), exclusive=False)[0] for word in "abc"]
        expected = model(torch.from_numpy(pixels).to(next(model.parameters()))).float().mean(0).numpy()
    assert answers[0]["logits"] == pytest.approx(expected, abs=1e-4 if dtype == "float32" else 0.02)
    assert {answer["cam"].shape for answer in answers} == {shape}
    assert np.stack([answer["cam"] for answer in answers]).max() > 0
    assert hooks(model) == 0


def test_a_network_that_answers_by_one_token_is_refused_in_words_and_works_without() -> None:
    model = VisionTransformer(64, 16, embed_dim=24, depth=1, num_heads=2, num_classes=2).eval()
    pixels = np.zeros((1, 3, 64, 64), np.float32)
    with torch.inference_mode():
        with pytest.raises(InputError, match=r"why must be 'off' with these weights.*VisionTransformer") as caught:
            classify(model, [pixels], ["a"], list("ab"), exclusive=True)
        assert set(classify(model, [pixels], [OFF], list("ab"), exclusive=True)[0]) == {"logits", "embedding"}
    assert caught.value.field == "why"
    assert hooks(model) == 0


# --- the pages ------------------------------------------------------------------------------------


def test_rest_answers_as_the_engine_does(hub: Hub) -> None:
    client = TestClient(app_of(hub))
    file = ASSETS / "vehicle_classifier" / "fire_engine.jpg"
    url = "/api/v1/demos/vehicle_classifier"
    plain = client.post(url, files={"image": file.read_bytes()}).json()["outputs"]
    asked = client.post(url, files={"image": file.read_bytes()}, data={"why": "emergency"}).json()["outputs"]
    result = hub.engine.run("vehicle_classifier", {"image": file, "why": "emergency"})
    assert set(plain) == {"probabilities"}
    assert asked["probabilities"] == result.values["probabilities"] == plain["probabilities"]
    assert client.get(asked["why"]).content == result.pictures["why"][0].data
    wrong = client.post(url, files={"image": file.read_bytes()}, data={"why": "emergenci"})
    assert wrong.status_code == 422 and "'emergency'" in wrong.json()["detail"]


def test_the_caption_says_for_which_class_and_when_there_is_nothing_to_see(hub: Hub) -> None:
    def caption(word: str) -> str:
        result = hub.engine.run(
            "vehicle_classifier", {"image": ASSETS / "vehicle_classifier" / "fire_engine.jpg", "why": word}
        )
        return result.pictures["why"][0].caption

    assert caption("the answer") == caption("emergency")
    assert caption("emergency").startswith("What speaks for emergency (9")
    assert caption("ordinary").startswith("Next to nothing speaks for ordinary (")


def test_the_threshold_is_the_weights_own_or_the_one_given(hub: Hub) -> None:
    for weights in ("satellite_landuse", "satellite_amazon"):
        own = hub.weights.find(weights).config["threshold"]
        for given, used in ((None, own), (0, 0.0), (0.9, 0.9)):
            values = {"image": picture(64, 64), "weights": weights, "threshold": given}
            result = hub.engine.run("satellite_labels", values).values
            assert result["threshold_used"] == used
            assert given != 0 or len(result["tags"]) == 17, "0 picks every label"
            shares = result["probabilities"]
            assert [row["label"] for row in result["tags"]] == [name for name in shares if shares[name] >= used]


@pytest.mark.parametrize("name", FORESTS)
def test_the_amazon_examples_are_labelled_rightly(name: str, hub: Hub) -> None:
    file = ASSETS / "satellite_labels" / f"{name}.jpg"
    tags = hub.engine.run("satellite_labels", {"image": file, "weights": "satellite_amazon"}).values["tags"]
    assert {row["label"] for row in tags} >= FORESTS[name]
    assert not {row["label"] for row in tags} & ({"clear", "partly_cloudy", "cloudy", "haze"} - FORESTS[name])


# --- the drawing ----------------------------------------------------------------------------------


def test_a_heat_map_is_as_large_as_the_photo_up_to_1024_pixels() -> None:
    heat = np.ones((7, 7), np.float32)
    assert heat_map(picture(300, 200), heat).size == (300, 200)
    assert heat_map(picture(3000, 1500), heat).size == (1024, 512)
    assert heat_map(picture(3, 4000), heat).size == (1, 1024)
    assert heat_map(picture(1, 1), heat).size == (1, 1)


def test_cold_places_are_the_photo_dimmed_and_hot_ones_glow_with_the_photo_in_it() -> None:
    photo = picture(200, 100)
    before = photo.tobytes()
    heat = np.zeros((2, 4), np.float32)
    heat[:, 3] = 5.0  # more than full
    drawn, original = (np.asarray(image, np.float32) for image in (heat_map(photo, heat), photo))
    assert photo.tobytes() == before
    assert drawn[:, :50] == pytest.approx(original[:, :50] * 0.6, abs=1.5)
    glow = drawn[:, 190:]
    assert glow[..., 0].mean() > 200 and glow[..., 2].mean() < glow[..., 0].mean()  # towards yellow
    for channel in range(3):  # the photo's grain is still there
        assert np.corrcoef(glow[..., channel].ravel(), original[:, 190:, channel].ravel())[0, 1] > 0.9


@pytest.mark.parametrize(
    "bad", [np.ones((3, 3)), np.ones(3, np.float32), np.full((2, 2), np.nan, np.float32), np.ones((0, 2), np.float32)]
)
def test_what_is_not_a_map_is_refused(bad: NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="strength must be"):
        heat_map(picture(), bad)
