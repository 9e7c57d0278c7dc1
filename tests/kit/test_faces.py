"""hub.kit.faces: every face is found and nothing else, boxes are in the photo's pixels, and crops are upright.

The two portraits are examples of the page for ages.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hub.errors import UnavailableError
from hub.kit import faces

pytestmark = pytest.mark.slow

ASSETS = Path(__file__).parents[2] / "demos" / "assets"
SIDE = 64


def example(name: str, page_name: str = "age_regression") -> Image.Image:
    with Image.open(ASSETS / page_name / f"{name}.jpg") as file:
        return file.convert("RGB")


def middles(found: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(found[:, :2] + found[:, 2:4] / 2)


# --- the faces ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [("collins", 1), ("hopper", 1), ("pinboard", 10), ("cat", 0)])
def test_every_face_of_the_examples_is_found_and_nothing_else(name: str, count: int) -> None:
    assert len(faces.detect(example(name), 0.8)) == count


@pytest.mark.parametrize("name", ["camvid_segmentation/junction", "vehicle_classifier/police_car"])
def test_streets_and_cars_have_no_face(name: str) -> None:
    folder, picture = name.split("/")
    assert len(faces.detect(example(picture, folder), 0.8)) == 0


@pytest.mark.parametrize("share", [1.0, 0.1, 4.0])
def test_boxes_are_in_the_photos_own_pixels_whatever_its_size(share: float) -> None:
    photo = example("collins")
    scaled = photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.LANCZOS)
    found = faces.detect(scaled, 0.5)
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
    found = faces.detect(crowd, 0.8)
    assert len(found) == len(places)
    areas = found[:, 2] * found[:, 3]
    assert list(areas) == sorted(areas, reverse=True)
    expected = np.array([(x + (60 + n) / 2, y + (75 + n) / 2) for n, (x, y) in enumerate(places)])
    apart = np.hypot(*(middles(found)[:, None] - expected).transpose(2, 0, 1))
    assert sorted(apart.argmin(1)) == list(range(len(places)))
    assert len(faces.detect(face.resize((1920, 2400)), 0.8)) == 1


@pytest.mark.parametrize("size", [(12, 600), (600, 12), (32, 32), (8, 8), (1, 1)])
def test_narrow_pictures_have_no_face(size: tuple[int, int]) -> None:
    # OpenCV answers with chance numbers, some as scores of 1.0, when a side is 32 px or less.
    random = np.random.default_rng(0)
    for _ in range(10):
        noise = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
        assert len(faces.detect(noise, 0.5)) == 0


def test_boxes_end_at_the_edge_of_the_photo() -> None:
    photo = example("hopper").crop((150, 170, 330, 400))  # cut through brow and cheek
    found = faces.detect(photo, 0.5)
    assert len(found) == 1
    left, top, width, height = found[0, :4]
    assert left >= 0 and top >= 0
    assert left + width <= photo.width + 1e-3 and top + height <= photo.height + 1e-3


# --- the crops ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turn", "scale"), [(0, 1.0), (25, 0.7), (-40, 2.3), (180, 5.0)])
def test_the_frame_follows_the_points(turn: float, scale: float) -> None:
    factor = 100 * scale * np.exp(1j * np.radians(turn))
    moved = (np.array(faces.TEMPLATE) @ (1, 1j)) * factor + (33 + 44j)
    matrix = faces.frame(np.stack([moved.real, moved.imag], 1))
    corner = matrix @ (1, 0, 1)
    assert corner == pytest.approx([33 + factor.real, 44 + factor.imag])


@pytest.mark.parametrize("name", ["collins", "hopper"])
@pytest.mark.parametrize(("turn", "share"), [(0, 0.5), (15, 1.0), (-20, 0.7), (25, 2.5)])
def test_the_frame_turns_with_the_face_and_grows_with_the_photo(name: str, turn: float, share: float) -> None:
    def side(photo: Image.Image) -> complex:
        """The upper side of the face's frame in the photo, x + iy."""
        (face,) = faces.detect(photo, 0.6)
        matrix = faces.upright_frame(np.asarray(photo), face[4:14].reshape(5, 2))
        return complex(matrix[0, 0], matrix[1, 0])

    photo = example(name)
    scaled = photo.resize((round(photo.width * share), round(photo.height * share)), Image.Resampling.LANCZOS)
    change = side(scaled.rotate(turn, Image.Resampling.BICUBIC, expand=True)) / side(photo)
    assert abs(change) == pytest.approx(share, rel=0.1)
    # The detector sees faces straighter than they are. With one look only, three of these eight would be further off.
    assert np.degrees(np.angle(change)) == pytest.approx(-turn, abs=2.5 + 0.45 * abs(turn))


def test_a_crop_shows_the_face_as_the_template_has_it() -> None:
    photo = example("hopper")
    (crop,) = faces.cut_out(photo, faces.detect(photo, 0.8), SIDE, SIDE)
    picture = crop.resize((200, 200))
    wider = Image.new("RGB", (400, 400), "#808080")
    wider.paste(picture, (100, 100))
    found = faces.detect(wider, 0.5)
    points = (found[0, 4:14].reshape(5, 2) - 100) / 200
    assert np.abs(points - faces.TEMPLATE).max() < 0.08


def test_what_lies_outside_of_the_photo_repeats_its_edge() -> None:
    pixels = np.full((50, 40, 3), 200, np.uint8)
    matrix = faces.frame(np.array(faces.TEMPLATE) * 300 - 120)
    assert (np.asarray(faces.crop(pixels, matrix, SIDE, SIDE)) == 200).all()


# --- the file -------------------------------------------------------------------------------------


def test_the_detector_is_the_file_that_its_readme_names() -> None:
    assert hashlib.sha256(faces.DETECTOR.read_bytes()).hexdigest() == faces.SHA256
    folder = faces.DETECTOR.parent
    assert faces.SHA256 in (folder / "README.md").read_text() and "MIT" in (folder / "LICENSE").read_text()


def test_another_file_in_its_place_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.onnx"
    monkeypatch.setattr(faces, "DETECTOR", other)
    faces._network.cache_clear()
    try:
        for content in (None, faces_file()[:-1], b"something else"):
            if content is not None:
                other.write_bytes(content)
            with pytest.raises(UnavailableError, match=r"missing or damaged: .*other\.onnx"):
                faces.detect(Image.new("RGB", (64, 64)), 0.8)
    finally:
        faces._network.cache_clear()


def faces_file() -> bytes:
    return (Path(faces.__file__).parent / "yunet" / "face_detection_yunet_2023mar.onnx").read_bytes()
