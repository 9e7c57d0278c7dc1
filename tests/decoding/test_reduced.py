"""A large JPEG of which not every pixel is wanted: read smaller at once, under the same guards."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hub.decoding import budget
from hub.decoding.decode import Enough, ImageLimits, declared, decode
from hub.errors import InputError, TooLargeError
from tests.decoding.test_decode_kinds import saved
from tests.fakes import picture

pytestmark = pytest.mark.slow

ENOUGH = Enough(shorter=100, longer=150)


def jpeg(width: int, height: int, turn: int = 1, **options: object) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(picture(width, height), "JPEG", quality=92, exif=exif, **options)


@pytest.mark.parametrize(
    ("size", "read"),
    [
        ((2400, 1600), (300, 200)),
        ((1199, 800), (300, 200)),
        ((600, 400), (150, 100)),
        ((599, 400), (300, 200)),
        ((1600, 199), (1600, 199)),
        ((160, 120), (160, 120)),
    ],
)
def test_it_comes_smaller_by_two_four_or_eight_and_never_below_what_is_enough(
    size: tuple[int, int], read: tuple[int, int]
) -> None:
    assert decode(jpeg(*size), enough=ENOUGH).size == read
    assert decode(jpeg(*size)).size == size


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP"])
def test_other_kinds_of_files_are_read_as_they_are(format: str) -> None:
    assert decode(saved(picture(640, 480), format), enough=ENOUGH).size == (640, 480)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_it_is_turned_and_coloured_as_the_whole_is(turn: int, mode: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    data = saved(picture(1203, 805).convert(mode), "JPEG", quality=95, exif=exif)
    whole, small = decode(data), decode(data, enough=ENOUGH)
    assert small.size == tuple(-(-side // 8) for side in whole.size)
    assert small.mode == "RGB" and small.info == {}
    away = np.abs(np.asarray(whole.resize(small.size, Image.Resampling.BOX), np.int16) - np.asarray(small))
    assert away.mean() < 2


def test_what_a_picture_declares_is_bounded_however_small_it_would_be_read() -> None:
    data = jpeg(2400, 1600)
    for limits in (ImageLimits(max_pixels=2_000_000), ImageLimits(max_side=2000)):
        with pytest.raises(TooLargeError, match="2400 x 1600"):
            decode(data, limits, enough=ENOUGH)


def test_it_takes_the_room_of_what_is_read_and_of_what_libjpeg_holds_of_the_whole() -> None:
    plain, progressive = jpeg(2400, 1600), jpeg(2400, 1600, progressive=True)
    assert declared(plain, enough=ENOUGH) == 300 * 200
    held = 3 * 2 * 2400 * 1600 // budget.RGB_BYTES  # three samples of two bytes
    assert declared(progressive, enough=ENOUGH) == 300 * 200 + held
    for data in (plain, progressive):
        with budget.room() as room:
            decode(data, enough=ENOUGH)
            assert room.held == declared(data, enough=ENOUGH)


@pytest.mark.parametrize("progressive", [False, True])
def test_one_that_lacks_its_end_is_read_or_refused_as_the_whole_is(progressive: bool) -> None:
    data = jpeg(1200, 800, progressive=progressive)
    assert decode(data[:-2], enough=ENOUGH).size == (150, 100)
    with budget.room() as room:
        decode(data[: -len(data) // 500], enough=ENOUGH)
        assert room.held <= 2 * declared(data, enough=ENOUGH), "never the room of the whole"
    for share in (0.3, 0.5):
        for enough in (None, ENOUGH):
            with pytest.raises(InputError, match="cut off or damaged"):
                decode(data[: int(share * len(data))], enough=enough)


def test_a_colour_profile_counts() -> None:
    with Image.open("tests/cases/linear_elle.jpg") as file:
        profile, size = file.info["icc_profile"], (1200, 800)
    data = saved(picture(*size), "JPEG", quality=95, icc_profile=profile)
    whole, small = decode(data), decode(data, enough=ENOUGH)
    plain = decode(saved(picture(*size), "JPEG", quality=95), enough=ENOUGH)
    near = np.abs(np.asarray(whole.resize(small.size, Image.Resampling.BOX), np.int16) - np.asarray(small)).mean()
    assert near < 2
    assert np.abs(np.asarray(plain, np.int16) - np.asarray(small)).mean() > 10
