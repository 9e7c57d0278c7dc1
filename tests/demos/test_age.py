"""Ages from faces: the faces that the shipped detector finds, the crops it leads to, and what people see of them.

The two portraits are the page's own examples; where the answer must be known, a model answers from the crops' colours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from demos import age_regression as page
from hub.hub import Hub
from hub.settings import Settings

ASSETS = Path(page.__file__).parent / "assets"
SIDE = 64
CONFIG: dict[str, Any] = {
    "architecture": "test_efficientnet",
    "num_classes": 3,
    "label_names": ["age", "low", "high"],
    "num_features": 256,
    "model_args": {"global_pool": "catavgmax"},
    "interval_level": 0.8,
    "pretrained_cfg": {
        "input_size": [3, SIDE, SIDE],
        "interpolation": "bicubic",
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "num_classes": 3,
        "first_conv": "conv_stem",
        "classifier": "classifier",
    },
}


def example(name: str, page_name: str = "age_regression") -> Image.Image:
    with Image.open(ASSETS / page_name / f"{name}.jpg") as file:
        return file.convert("RGB")


def prepared(image: Image.Image, faces: str = page.FIND, views: str = page.SINGLE) -> dict[str, NDArray[Any]]:
    return page.prepare(image, faces, views, 0.8, CONFIG)


def middles(found: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(found[:, :2] + found[:, 2:4] / 2)


# --- the faces ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [("collins", 1), ("hopper", 1), ("pinboard", 10), ("cat", 0)])
def test_every_face_of_the_examples_is_found_and_nothing_else(name: str, count: int) -> None:
    assert len(page.detect(example(name), 0.8)) == count


@pytest.mark.parametrize("name", ["camvid_segmentation/junction", "vehicle_classifier/police_car"])
def test_streets_and_cars_have_no_face(name: str) -> None:
    folder, picture = name.split("/")
    assert len(page.detect(example(picture, folder), 0.8)) == 0


@pytest.mark.parametrize("share", [1.0, 0.1, 4.0])
def test_boxes_are_in_the_photos_own_pixels_whatever_its_size(share: float) -> None:
    photo = example("collins")
    scaled = photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.LANCZOS)
    found = page.detect(scaled, 0.5)
    if share == 0.1:  # a face of 11 px
        assert len(found) == 0
    else:
        # Seen in the picture: chin and hair line, left and right cheek.
        assert found[0, :4] / share == pytest.approx([180, 63, 89, 111], abs=6)
        eyes = found[0, 4:8] / share
        assert eyes == pytest.approx([203, 101, 245, 102], abs=4)


def test_a_crowd_is_found_whole_and_a_face_that_fills_the_photo_too() -> None:
    face = example("hopper").crop((150, 80, 390, 380))
    crowd = Image.new("RGB", (1920, 1280), "#7d94a8")
    places = [(60 + column * 230, 40 + row * 240) for row in range(5) for column in range(8)]
    for number, place in enumerate(places):
        crowd.paste(face.resize((60 + number, 75 + number)), place)
    found = page.detect(crowd, 0.8)
    assert len(found) == len(places)
    areas = found[:, 2] * found[:, 3]
    assert list(areas) == sorted(areas, reverse=True)
    expected = np.array([(x + (60 + n) / 2, y + (75 + n) / 2) for n, (x, y) in enumerate(places)])
    apart = np.hypot(*(middles(found)[:, None] - expected).transpose(2, 0, 1))
    assert sorted(apart.argmin(1)) == list(range(len(places)))
    assert len(page.detect(face.resize((1920, 2400)), 0.8)) == 1


@pytest.mark.parametrize("size", [(12, 600), (600, 12), (32, 32), (8, 8), (1, 1)])
def test_narrow_pictures_have_no_face(size: tuple[int, int]) -> None:
    # OpenCV answers with chance numbers, some as scores of 1.0, when a side is 32 px or less.
    random = np.random.default_rng(0)
    for _ in range(10):
        noise = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
        assert len(page.detect(noise, 0.5)) == 0


def test_boxes_end_at_the_edge_of_the_photo() -> None:
    photo = example("hopper").crop((150, 170, 330, 400))  # cut through brow and cheek
    found = page.detect(photo, 0.5)
    assert len(found) == 1
    left, top, width, height = found[0, :4]
    assert left >= 0 and top >= 0
    assert left + width <= photo.width + 1e-3 and top + height <= photo.height + 1e-3


# --- the crops ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turn", "scale"), [(0, 1.0), (25, 0.7), (-40, 2.3), (180, 5.0)])
def test_the_frame_follows_the_points(turn: float, scale: float) -> None:
    factor = 100 * scale * np.exp(1j * np.radians(turn))
    moved = (np.array(page.TEMPLATE) @ (1, 1j)) * factor + (33 + 44j)
    matrix = page.frame(np.stack([moved.real, moved.imag], 1))
    corner = matrix @ (1, 0, 1)
    assert corner == pytest.approx([33 + factor.real, 44 + factor.imag])


@pytest.mark.parametrize("name", ["collins", "hopper"])
@pytest.mark.parametrize(("turn", "share"), [(0, 0.5), (15, 1.0), (-20, 0.7), (25, 2.5)])
def test_the_frame_turns_with_the_face_and_grows_with_the_photo(name: str, turn: float, share: float) -> None:
    def side(photo: Image.Image) -> complex:
        """The upper side of the face's frame in the photo, x + iy."""
        (face,) = page.detect(photo, 0.6)
        matrix = page.upright_frame(np.asarray(photo), face[4:14].reshape(5, 2))
        return complex(matrix[0, 0], matrix[1, 0])

    photo = example(name)
    scaled = photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.LANCZOS)
    change = side(scaled.rotate(turn, Image.Resampling.BICUBIC, expand=True)) / side(photo)
    assert abs(change) == pytest.approx(share, rel=0.1)
    # The detector sees faces straighter than they are. With one look only, three of these eight would be further off.
    assert np.degrees(np.angle(change)) == pytest.approx(-turn, abs=2.5 + 0.45 * abs(turn))


def test_a_crop_shows_the_face_as_the_model_learned_it() -> None:
    photo = example("hopper")
    (crop,) = prepared(photo)["crops"]
    picture = Image.fromarray((crop[0].transpose(1, 2, 0) * 255).round().astype(np.uint8)).resize((200, 200))
    wider = Image.new("RGB", (400, 400), "#808080")
    wider.paste(picture, (100, 100))
    found = page.detect(wider, 0.5)
    points = (found[0, 4:14].reshape(5, 2) - 100) / 200
    assert np.abs(points - page.TEMPLATE).max() < 0.08


def test_what_lies_outside_of_the_photo_repeats_its_edge() -> None:
    pixels = np.full((50, 40, 3), 200, np.uint8)
    matrix = page.frame(np.array(page.TEMPLATE) * 300 - 120)
    assert (np.asarray(page.crop(pixels, matrix, SIDE, SIDE)) == 200).all()


def test_the_second_view_is_the_mirror_image_and_a_cut_out_face_is_taken_whole() -> None:
    photo = example("collins")
    crops = prepared(photo, views=page.MIRRORED)["crops"]
    assert crops.shape == (1, 2, 3, SIDE, SIDE)
    assert (crops[:, 1] == crops[:, 0, :, :, ::-1]).all()
    whole = prepared(photo, page.WHOLE)
    squashed = np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    assert whole["crops"][0, 0] == pytest.approx(squashed.transpose(2, 0, 1), abs=1e-6)
    assert list(whole["found"][0, :4]) == [0, 0, photo.width, photo.height]


# --- the model ------------------------------------------------------------------------------------


class Mean(nn.Module):
    """Says the mean red, green and blue of a crop: age, low and high in years."""

    def __init__(self) -> None:
        super().__init__()
        self.classifier = nn.Linear(3, 3)
        nn.init.eye_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.batches: list[int] = []

    def get_classifier(self) -> nn.Module:
        return self.classifier

    def forward_features(self, crops: Tensor) -> Tensor:
        self.batches.append(len(crops))
        return crops

    def forward_head(self, features: Tensor, pre_logits: bool = False) -> Tensor:
        assert pre_logits
        return features.mean((2, 3))


def test_each_age_comes_back_to_its_face_over_photos_views_and_chunks() -> None:
    model = Mean()
    counts = [2, 0, 3 * page.CHUNK]
    items, number = [], 0
    for count in counts:
        crops = np.empty((count, 2, 3, 8, 8), np.float32)
        for face in range(count):
            crops[face, 0], crops[face, 1] = number, number + 1  # the views are half a year from their mean
            number += 1
        items.append({"found": np.zeros((count, 15), np.float32), "crops": crops})
    with torch.inference_mode():
        outputs = page.infer(model, items, CONFIG)
    assert max(model.batches) == page.CHUNK
    ages = np.concatenate([output["ages"] for output in outputs])
    assert ages == pytest.approx(np.repeat(np.arange(number)[:, None] + 0.5, 3, 1))
    assert [output["ages"].shape for output in outputs] == [(count, 3) for count in counts]


# --- what people see ------------------------------------------------------------------------------


def presented(image: Image.Image, ages: Any, found: NDArray[Any]) -> dict[str, Any]:
    output = {"ages": np.asarray(ages, np.float32).reshape(-1, 3), "found": found}
    return page.present(output, image, page.FIND, page.SINGLE, 0.8, CONFIG)


def test_a_photo_without_a_face_says_so_and_has_an_empty_table() -> None:
    image = example("cat")
    picture, caption = presented(image, [], prepared(image)["found"])["overlay"]
    assert caption == "No face found"
    assert np.array_equal(np.asarray(picture), np.asarray(image))
    assert presented(image, [], prepared(image)["found"])["faces"] == []


def test_a_row_says_where_a_face_is_how_old_and_between_which_ages() -> None:
    image = example("collins")
    found = prepared(image)["found"]
    (row,) = presented(image, [34.26, 27.01, 42.0], found)["faces"]
    box = {name: pytest.approx(float(found[0, n]), abs=0.06) for n, name in enumerate(list(row)[4:8])}
    assert row == {"face": 1, "age": 34.3, "low": 27.0, "high": 42.0, **box, "score": pytest.approx(0.94, abs=0.03)}
    assert list(box) == ["x_px", "y_px", "width_px", "height_px"]
    (young,) = presented(image, [-0.4, 0.5, -3.0], found)["faces"]
    assert (young["age"], young["low"], young["high"]) == (0, 0, 0)


@pytest.mark.parametrize(("count", "text"), [(1, "34 (27-42)"), (2, "2: 34 (27-42)"), (page.CROWD + 1, "2: 34")])
def test_a_label_has_the_interval_except_in_a_crowd(count: int, text: str) -> None:
    assert page.label({"face": 2, "age": 34.4, "low": 26.6, "high": 42.0}, count) == text


def test_labels_cover_no_face() -> None:
    image = example("pinboard")
    found = prepared(image)["found"]
    picture, caption = presented(image, np.tile([34, 27, 42], (len(found), 1)), found)["overlay"]
    assert caption == "10 faces, 80% intervals"
    for left, top, width, height in found[:, :4]:
        inner = (round(left) + 4, round(top) + 4, round(left + width) - 4, round(top + height) - 4)
        assert (np.asarray(picture.crop(inner)) == np.asarray(image.crop(inner))).all()


def test_the_drawing_of_a_large_photo_is_smaller_and_of_the_same_shape() -> None:
    image = example("collins").resize((4096, 3600))
    picture, _ = presented(image, [[34, 27, 42]], prepared(image)["found"])["overlay"]
    assert picture.size == (page.LONGEST, 1800)


# --- through the engine ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """The hub with a tiny timm model in the format of the real weights."""
    root = tmp_path_factory.mktemp("age")
    folder = root / "weights" / "age_regression"
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=3, global_pool="catavgmax")
    with torch.no_grad():
        model.get_classifier().bias.copy_(torch.tensor([34.0, 27.0, 42.0]))
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "README.md").write_text("---\nlicense: other\n---\n")
    settings = Settings(device="cpu", dtype="bfloat16", data=str(root), weights_folder=str(folder.parent))
    made = Hub(settings)
    yield made
    made.close()


def test_photos_with_no_one_and_many_faces_run(hub: Hub) -> None:
    for name, count in (("cat", 0), ("collins", 1), ("pinboard", 10)):
        rows = hub.engine.run("age_regression", {"image": ASSETS / "age_regression" / f"{name}.jpg"}).values["faces"]
        assert [row["face"] for row in rows] == list(range(1, count + 1))
        assert all(row["low"] <= row["age"] <= row["high"] for row in rows)


def test_a_cut_out_face_needs_no_detector(hub: Hub) -> None:
    result = hub.engine.run("age_regression", {"image": ASSETS / "age_regression" / "cat.jpg", "faces": page.WHOLE})
    (row,) = result.values["faces"]
    assert (row["width_px"], row["height_px"]) == (451, 300)
    assert "score" not in row  # no detector ran


def test_the_real_model_tells_old_from_young(tmp_path: Path) -> None:
    hub = Hub(Settings(device="cpu", data=str(tmp_path)))
    try:
        hub.weights.find("age_regression")
        ages = {
            name: hub.engine.run("age_regression", {"image": ASSETS / "age_regression" / f"{name}.jpg"}).values[
                "faces"
            ][0]
            for name in ("collins", "hopper")
        }
    finally:
        hub.close()
    assert 20 < ages["collins"]["age"] < 55
    assert ages["hopper"]["age"] > 58  # she was 77
