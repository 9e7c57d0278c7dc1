"""Ages from faces: the crops that the model gets, its answers face by face, and what people see of them.

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
from hub.images import LONGEST
from hub.kit.ages import CHUNK, corrected
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


# --- the crops ------------------------------------------------------------------------------------


def test_the_second_view_is_the_mirror_image_and_a_cut_out_face_is_taken_whole() -> None:
    photo = example("collins")
    crops = prepared(photo, views=page.MIRRORED)["crops"]
    assert crops.shape == (1, 2, 3, SIDE, SIDE)
    assert (crops[:, 1] == crops[:, 0, :, :, ::-1]).all()
    whole = prepared(photo, page.WHOLE)
    squashed = np.asarray(photo.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32) / 255
    assert whole["crops"][0, 0] == pytest.approx(squashed.transpose(2, 0, 1), abs=1e-6)
    assert list(whole["detections"][0, :4]) == [0, 0, photo.width, photo.height]


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
    counts = [2, 0, 3 * CHUNK]
    items, number = [], 0
    for count in counts:
        crops = np.empty((count, 2, 3, 8, 8), np.float32)
        for face in range(count):
            crops[face, 0], crops[face, 1] = number, number + 1  # the views are half a year from their mean
            number += 1
        items.append({"detections": np.zeros((count, 15), np.float32), "crops": crops})
    with torch.inference_mode():
        outputs = page.infer(model, items, CONFIG)
    assert max(model.batches) == CHUNK
    ages = np.concatenate([output["ages"] for output in outputs])
    assert ages == pytest.approx(np.repeat(np.arange(number)[:, None] + 0.5, 3, 1))
    assert [output["ages"].shape for output in outputs] == [(count, 3) for count in counts]


# --- what people see ------------------------------------------------------------------------------


def presented(image: Image.Image, ages: Any, found: NDArray[Any]) -> dict[str, Any]:
    output = {"ages": np.asarray(ages, np.float32).reshape(-1, 3), "detections": found}
    return page.present(output, image, page.FIND, page.SINGLE, 0.8, CONFIG)


def test_a_photo_without_a_face_says_so_and_has_an_empty_table() -> None:
    image = example("cat")
    picture, caption = presented(image, [], prepared(image)["detections"])["overlay"]
    assert caption == "No face found"
    assert np.array_equal(np.asarray(picture), np.asarray(image))
    assert presented(image, [], prepared(image)["detections"])["faces"] == []


def test_a_row_says_where_a_face_is_how_old_and_between_which_ages() -> None:
    image = example("collins")
    found = prepared(image)["detections"]
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
    found = prepared(image)["detections"]
    picture, caption = presented(image, np.tile([34, 27, 42], (len(found), 1)), found)["overlay"]
    assert caption == "10 faces, 80% intervals"
    for left, top, width, height in found[:, :4]:
        inner = (round(left) + 4, round(top) + 4, round(left + width) - 4, round(top + height) - 4)
        assert (np.asarray(picture.crop(inner)) == np.asarray(image.crop(inner))).all()


def test_the_drawing_of_a_large_photo_is_smaller_and_of_the_same_shape() -> None:
    image = example("collins").resize((4096, 3600))
    picture, _ = presented(image, [[34, 27, 42]], prepared(image)["detections"])["overlay"]
    assert picture.size == (LONGEST, 1800)


def test_ages_are_corrected_as_the_weights_say_and_others_are_left() -> None:
    table = {"at": [0, 40, 80], "age": [0.0, 2.0, -4.0], "low": [0.0, 0.0, -8.0], "high": [1.0, 1.0, 11.0]}
    said = np.array([[20, 10, 30], [80, 70, 90], [99, 90, 100]], np.float32)
    assert corrected(said, {}) is said
    better = corrected(said, {"corrections": table})
    assert better.tolist() == [[21, 10, 31], [76, 62, 101], [95, 82, 111]]
    assert corrected(said[:0], {"corrections": table}).shape == (0, 3)


def test_an_answer_out_of_the_reliable_range_says_so_and_others_do_not() -> None:
    image = example("pinboard")
    found = prepared(image)["detections"][:2]
    said = {"ages": np.array([[34, 27, 42], [88, 70, 96]], np.float32), "detections": found}
    config = CONFIG | {"reliable_to": 80}
    answer = page.present(said, image, page.FIND, page.SINGLE, 0.8, config)
    assert [row["remark"] for row in answer["faces"]] == ["", "less reliable"]
    assert answer["overlay"][1] == "2 faces, 80% intervals, less reliable above 80 years"
    alone = {"ages": said["ages"][1:], "detections": found[1:]}
    faces = page.present(alone, image, page.FIND, page.SINGLE, 0.8, config)
    assert page.headline(faces) == "About 88 years (70 to 96), less reliable"
    young = {"ages": said["ages"][:1], "detections": found[:1]}
    answer = page.present(young, image, page.FIND, page.SINGLE, 0.8, config)
    assert "remark" not in answer["faces"][0] and answer["overlay"][1] == "1 face, 80% intervals"


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


@pytest.mark.slow
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
