"""The figures that `python -m weights.evaluate` prints, on folders made for the test."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub.spec import ImageInput, Slider
from tests.fakes import picture, shade_demo
from tests.served import command
from weights import evaluate, measures


def photo(path: Path, seed: int, size: tuple[int, int] = (96, 72)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def vehicles(tmp_path: Path) -> Path:
    lines = ["image,emergency,split"]
    for number in range(5):
        photo(tmp_path / "images" / f"{number}.png", number)
        lines.append(f"{number}.png,{number % 2},{'val' if number < 4 else 'train'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path


@pytest.fixture
def streets(tmp_path: Path) -> Path:
    for number in range(2):
        photo(tmp_path / "held" / f"{number}.png", number)
        (tmp_path / "held_masks").mkdir(exist_ok=True)
        mask = np.full((72, 96), number + 1, dtype=np.uint8)
        mask[:10] = 11
        Image.fromarray(mask).save(tmp_path / "held_masks" / f"{number}.png")
    return tmp_path


def test_json_comes_last_with_the_agreed_keys(vehicles: Path) -> None:
    done = command(evaluate.main, "vehicle_classifier", "--data", str(vehicles), "--json")
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    result = json.loads(printed.splitlines()[-1])
    assert result["images"] == 4
    low, high = result["interval_95"]["accuracy"]
    assert 0 <= low <= result["accuracy"] <= high <= 1


@pytest.mark.slow
def test_another_split_name_is_another_folder(streets: Path) -> None:
    """The page's own masks are right everywhere; each other's are not."""
    demo, _ = evaluate.find("camvid_segmentation")
    folder = evaluate.ROOT / "camvid_segmentation"
    config = json.loads((folder / "config.json").read_text())
    photos = [streets / "held" / f"{number}.png" for number in range(2)]
    first, second = (answer["mask"] for answer in evaluate.predict(demo, folder, config, photos, {"quality": "fast"}))
    for masks, right in (((first, second), True), ((second, first), False)):
        for number, mask in enumerate(masks):
            Image.fromarray(np.asarray(mask)).save(streets / "held_masks" / f"{number}.png")
        result = evaluate.evaluate("camvid_segmentation", streets, split="held", inputs={"quality": "fast"})
        assert result["images"] == 2
        assert (result["miou"] == 1) is (result["pixel_accuracy"] == 1) is right


@pytest.mark.parametrize(
    ("setting", "message"),
    [("views", "NAME=VALUE, got 'views'"), ("views=both", "both"), ("threshold=1", "threshold"), ("why=bus", "bus")],
)
def test_a_wrong_setting_is_named(vehicles: Path, setting: str, message: str) -> None:
    done = command(evaluate.main, "vehicle_classifier", "--data", str(vehicles), "--set", setting)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_a_tag_that_never_occurs_is_null_in_json(tmp_path: Path) -> None:
    photo(tmp_path / "images" / "1.png", 1)
    (tmp_path / "labels.csv").write_text("image,tags,split\n1.png,clear primary,val\n")
    done = command(evaluate.main, "satellite_amazon", "--data", str(tmp_path), "--set", "threshold=0.99", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1], parse_constant=pytest.fail)
    assert result["table"]["blow_down"] is None


def test_what_is_not_set_is_as_suits_the_weights(tmp_path: Path) -> None:
    import torch

    demo = shade_demo(
        inputs=(ImageInput("image", "Photo"), Slider("level", "Level", 0.0, 1.0, 0.5, 0.1, default_from="least")),
        load=lambda folder, device: torch.nn.Identity(),
        present=lambda output, image, level: {"level": level},
    )
    run = partial(evaluate.predict, demo, tmp_path, {"least": 0.2}, [picture()], progress=False)
    assert ([*run()], [*run(inputs={"level": 0.0})]) == ([{"level": 0.2}], [{"level": 0.0}])


def test_an_unknown_split_is_named(vehicles: Path) -> None:
    with pytest.raises(SystemExit, match="no row with split 'test'"):
        evaluate.evaluate("vehicle_classifier", vehicles, split="test")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(SystemExit, match="camvid_segmentation"):
        evaluate.find("vehicles")


def test_unlabelled_pixels_do_not_count() -> None:
    config = {"_classes": [{"name": name} for name in "abc"]}
    confusion = np.array([[2.0, 1, 0], [1, 2, 0], [0, 0, 0]])
    figures = measures.camvid_figures(confusion, config)
    assert figures["miou"] == pytest.approx(0.5)  # a class that is nowhere has no score
    assert figures["pixel_accuracy"] == pytest.approx(4 / 6)


def test_the_interval_holds_the_figure_and_narrows_with_more_pictures() -> None:
    def width(count: int) -> float:
        hits = np.zeros((count, 2, 2))
        hits[np.arange(count), 0, (np.arange(count) % 10 == 0).astype(int)] = 1
        low, high = evaluate.bootstrap(hits, lambda mean: measures.confusion_figures(mean, {}))["accuracy"]
        assert low <= hits.mean(0).trace() / hits.mean(0).sum() <= high
        return high - low

    assert width(1000) < width(50)


def test_f2_is_taken_chip_by_chip_and_recall_counts_twice() -> None:
    config = {"label_names": ["clear", "primary", "water"]}

    def score(found: str, wanted: str) -> float:
        answer = {"tags": [{"label": name} for name in found.split()]}
        return measures.mean_f2(measures.amazon_count(answer, set(wanted.split()), config), config)["f2"]

    assert score("clear primary", "clear primary") == 1.0
    assert score("clear", "clear primary") == pytest.approx(5 / 9)
    assert score("clear primary water", "clear primary") == pytest.approx(10 / 11)
    assert score("", "") == 1.0


def test_f2_agrees_with_the_recipe() -> None:
    import torch

    from weights.training.tags import f2_by_picture

    config = {"label_names": ["a", "b", "c"]}
    generator = np.random.default_rng(0)
    found, wanted = generator.random((2, 20, 3)) < 0.5
    counts = [
        measures.amazon_count(
            {"tags": [{"label": n} for n, yes in zip("abc", f, strict=True) if yes]},
            {n for n, yes in zip("abc", w, strict=True) if yes},
            config,
        )
        for f, w in zip(found, wanted, strict=True)
    ]
    expected = f2_by_picture(torch.from_numpy(found), torch.from_numpy(wanted))
    assert measures.mean_f2(np.mean(counts, 0), config)["f2"] == pytest.approx(expected)


def test_palm_errors_are_pixels_of_384_by_288() -> None:
    config = {"_points": ["tip_index", "base_index"]}
    points, size = np.array([[100.0, 100.0], [300.0, 200.0]]), np.array([768.0, 576.0])
    answer = {
        "points": [{"x_px": 104.0, "y_px": 98.0}, {"x_px": 300.0, "y_px": 200.0}],
        "hand": {"Left hand": 0.9, "Right hand": 0.1, "No open palm": 0.0},
    }
    counts = measures.palm_count(answer, (points, size, "1"), config)
    figures = measures.palm_figures(counts, config)
    assert figures["l1_px"] == pytest.approx((2 + 1 + 0 + 0) / 4)  # half of the photo's own pixels
    assert figures["within_0.1"] == 1.0
    assert figures["within_0.01"] == 0.75  # 4 px of 768 are 0.0104 of the range's half
    assert measures.palm_table(counts, config) == {"no hand found": 0.0, "wrong hand": 1.0}


def test_a_hand_that_is_not_found_counts_as_the_middle_of_the_picture() -> None:
    config = {"_points": ["tip_index"]}
    answer = {"points": [], "hand": {"Left hand": 0.1, "Right hand": 0.1, "No open palm": 0.8}}
    truth = (np.array([[0.0, 288.0]]), np.array([384.0, 288.0]), "0")
    counts = measures.palm_count(answer, truth, config)
    assert measures.palm_figures(counts, config)["l1_px"] == pytest.approx((192 + 144) / 2)
    assert measures.palm_table(counts, config)["no hand found"] == 1.0


def test_age_errors_are_told_by_group() -> None:
    people = [(20, 26, "0"), (24, 22, "1"), (71, 61, "1")]  # age, answer, gender
    rows = [
        measures.age_count(
            {"faces": [{"age": found, "low": found - 5, "high": found + 5, "width_px": 9, "height_px": 9}]},
            {"age": str(age), "gender": gender, "race": "0", "decade": str(age // 10)},
            {},
        )
        for age, found, gender in people
    ]
    counts = np.mean(rows, axis=0)
    figures, table = measures.age_figures(counts, {}), measures.age_table(counts, {})
    assert figures == {"mae": 6.0, "mean_error": -2.0, "in_interval": pytest.approx(1 / 3)}
    assert table["mae, 20 to 29 years"] == pytest.approx(4) and table["mae, 70 to 79 years"] == pytest.approx(10)
    assert table["mae, men"] == pytest.approx(6) and table["mae, women"] == pytest.approx(6)
    assert table["no face found"] == 0.0 and "mae, 30 to 39 years" not in table
    between = evaluate.bootstrap(np.array(rows), partial(measures.age_table, config={}))
    assert between["mae, women"] == [2.0, 10.0]
    assert between["mae, 70 to 79 years"] == [10.0, 10.0], "of resamples without anybody of that age it has no figure"
    assert between.keys() == table.keys()
