"""hub.images: every file is an RGB picture or an error that helps; numbers and colours are exact."""

from __future__ import annotations

import io
import random
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from hub import images
from hub.decoding import decode as decoder
from hub.decoding.decode import ImageLimits, decode
from hub.decoding.orientation import TURNS
from hub.errors import HubError, InputError, TooLargeError, UnsupportedMediaError
from hub.images import encode, encode_mask, normalise, overlay

PILLOW_NAMES = {"JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP", "GIF": "GIF", "BMP": "BMP", "TIFF": "TIFF"}
PILLOW_NAMES |= {"HEIC": "HEIF"}
PILLOW_NAMES |= {"AVIF": "AVIF"} if "AVIF" in decoder.FORMATS else {}


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture with a different colour in each corner."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    channels = (x / width, y / height, 1 - x / width)
    return Image.fromarray((np.stack(channels, axis=-1) * 255).astype(np.uint8))


def save(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    if format == "HEIF":  # whose plugin is not registered, here as in the hub
        options = {"exif": options["exif"].tobytes()} if "exif" in options else {}
        pillow_heif.from_pillow(image).save(file, quality=90, chroma=444, **options)
    else:
        image.save(file, format, **options)
    return file.getvalue()


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *chunks: bytes, rows: bytes = b"") -> bytes:
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = png_chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + pixels + png_chunk(b"IEND", b"")


def tiff(*tags: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4 + tail


# --- formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", decoder.FORMATS)
def test_every_format_is_read_as_a_plain_rgb_image(kind):
    image = decode(save(picture(), PILLOW_NAMES[kind]))
    assert type(image) is Image.Image and image.mode == "RGB" and image.size == (48, 32)
    assert image.info == {}


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_keep_every_pixel(kind):
    assert decode(save(picture(), kind)).tobytes() == picture().tobytes()


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "packbits"])
def test_compressed_tiff_is_read(compression):
    assert decode(save(picture(), "TIFF", compression=compression)).tobytes() == picture().tobytes()


@pytest.mark.parametrize("kind", ["GIF", "WebP", "PNG", "TIFF"])
def test_of_many_frames_the_first_is_read(kind):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "lime", "blue")]
    data = save(frames[0], PILLOW_NAMES[kind], save_all=True, append_images=frames[1:])
    red, green, blue = decode(data).getpixel((8, 8))
    assert red > 240 and green < 10 and blue < 10


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_modes_become_rgb(mode):
    data = save(Image.new("RGB", (16, 16), "white").convert(mode), "TIFF")
    assert decode(data).getpixel((8, 8)) == (255, 255, 255)


@pytest.mark.parametrize(("colour", "rgb"), [((0, 0, 0, 0), (255, 255, 255)), ((0, 255, 255, 0), (255, 0, 0))])
def test_cmyk_jpeg_with_adobes_inversion_keeps_its_colours(colour, rgb):
    data = save(Image.new("CMYK", (16, 16), colour), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(np.subtract(decode(data).getpixel((8, 8)), rgb)).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind):
    values = np.array([[0, 255, 256, 32768, 65535, 1, 2, 3]] * 8, np.uint16)
    grey = np.asarray(decode(save(Image.fromarray(values), kind)))[0, :, 0]
    assert grey.tolist() == [0, 0, 1, 128, 255, 0, 0, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.float32([0, 0.5, 1]), [0, 128, 255]),
        (np.float32([0, 128, 255]), [0, 128, 255]),
        (np.float32([0, 32768, 65535]), [0, 128, 255]),
        (np.float32([-1, 0, 1]), [0, 128, 255]),
        (np.float32([0, 6e5, 1e6]), [0, 153, 255]),
        (np.float32([0, np.nan, 1]), [0, 0, 255]),
        (np.float32([7, np.inf, -np.inf]), [7, 0, 0]),
        (np.int32([0, 1, 255]), [0, 1, 255]),
        (np.int32([-100, 0, 100]), [0, 128, 255]),
        (np.int32([0, 0, 2**31 - 1]), [0, 0, 255]),
    ],
)
def test_wide_grey_is_scaled_by_its_range(values, expected):
    data = save(Image.fromarray(np.tile(values.repeat(4), (8, 1))), "TIFF")
    assert np.asarray(decode(data))[0, ::4, 0].tolist() == expected


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "LA"), ("TIFF", "RGBA"), ("TIFF", "LA"), ("WebP", "RGBA")]
)
def test_alpha_is_laid_on_white(kind, mode):
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 8, 16))
    decoded = decode(save(image.convert(mode), PILLOW_NAMES[kind], lossless=True))
    assert decoded.getpixel((2, 8)) == (255, 255, 255) and decoded.getpixel((13, 8)) == (0, 0, 0)


def test_half_transparent_is_half_white():
    data = save(Image.new("RGBA", (16, 16), (0, 0, 0, 127)), "PNG")
    assert decode(data).getpixel((8, 8)) == (128, 128, 128)


@pytest.mark.parametrize(("kind", "transparency"), [("PNG", 0), ("PNG", b"\x00\xff"), ("GIF", 0)])
def test_transparent_palette_entry_is_white(kind, transparency):
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.paste(0, (0, 0, 8, 16))
    decoded = decode(save(image, kind, transparency=transparency))
    assert decoded.getpixel((2, 8)) == (255, 255, 255) and decoded.getpixel((13, 8)) == (200, 0, 0)


def test_a_colour_profile_is_converted_to_srgb():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "sBGR".encode("utf-16-be"))
    swapped = profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    red, green, blue = decode(save(Image.new("RGB", (16, 16), "red"), "PNG", icc_profile=swapped)).getpixel((8, 8))
    assert red < 5 and green < 5 and blue > 250


def test_a_profile_for_another_kind_of_colour_is_left_out():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    decoded = decode(save(Image.new("L", (16, 16), 128), "PNG", icc_profile=profile))
    assert decoded.getpixel((8, 8)) == (128, 128, 128)


def test_a_lab_tiff_is_read():
    lab = Image.frombytes("LAB", (16, 16), bytes((255, 0, 0)) * 256)
    assert min(decode(save(lab, "TIFF")).getpixel((8, 8))) > 250


@pytest.mark.parametrize("profile", [b"\0" * 200, b"nonsense", b"acsp" * 100])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WebP"])
def test_a_broken_colour_profile_leaves_the_pixels_alone(profile, kind):
    options = {"quality": 95, "lossless": True}
    plain = decode(save(picture(), PILLOW_NAMES[kind], **options))
    assert decode(save(picture(), PILLOW_NAMES[kind], icc_profile=profile, **options)) == plain


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode(save(picture(), "PNG", icc_profile=profile)).tobytes() == picture().tobytes()


# --- orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in decoder.FORMATS if kind not in ("GIF", "BMP")])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_turned_upright(orientation, kind):
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    turn = TURNS.get(undo)
    stored = picture() if turn is None else picture().transpose(turn)
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 95} if kind != "TIFF" else {}
    upright = decode(save(stored, PILLOW_NAMES[kind], exif=exif, **options))
    assert upright.size == (48, 32)
    assert np.abs(np.asarray(upright, np.int16) - np.asarray(picture(), np.int16)).max() < 24


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0nonsense",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0" + tiff((0x0112, 3, 1, 99)),
        b"Exif\0\0" + tiff((0x0112, 2, 4, 0x41414141)),
        b"Exif\0\0" + tiff((0x0112, 5, 900, 20)),
        b"Exif\0\0" + tiff((0x0112, 3, 0, 0)),
        b"Exif\0\0" + tiff((0x0112, 3, 1, 6))[:-12],
    ],
)
@pytest.mark.parametrize("kind", ["PNG", "WebP", "JPEG"])
def test_broken_exif_leaves_the_picture_as_it_is(exif, kind):
    options = {"lossless": True, "quality": 90}
    plain = decode(save(picture(), PILLOW_NAMES[kind], **options))
    assert decode(save(picture(), PILLOW_NAMES[kind], exif=exif, **options)) == plain


# --- refusals -------------------------------------------------------------------------------------


def test_an_empty_file_is_named_as_such():
    with pytest.raises(InputError, match="photo is an empty file") as caught:
        decode(b"", field="photo")
    assert caught.value.field == "photo" and caught.value.status == 422


def test_too_many_bytes_are_refused_first():
    with pytest.raises(TooLargeError, match=r"has 2 MB; at most 1 MB are read\. Make it smaller"):
        decode(bytes(2 * 2**20), ImageLimits(max_bytes=2**20))


def test_a_bomb_is_refused_from_its_header_without_decoding():
    bomb = png(12_000, 12_000, rows=bytes(12_001 * 1000))
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeError) as caught:
            decode(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.message == (
        "image is 12000 x 12000 = 144.0 megapixels; at most 50 megapixels are read. Make it smaller and try again."
    )
    assert peak < 2 * 2**20


def test_a_bomb_is_never_handed_to_a_decoder(monkeypatch):
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(TooLargeError):
        decode(png(12_000, 12_000))


@pytest.mark.parametrize("size", [(9_000, 9_999), (12_000, 12_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_pillows_own_bomb_check_never_speaks(size):
    with pytest.raises(TooLargeError, match=rf"image is {size[0]} x {size[1]} = .* at most 50 megapixels"):
        decode(png(*size))


def test_a_gif_frame_larger_than_its_screen_is_refused():
    data = bytearray(save(Image.new("L", (16, 16)), "GIF"))
    at = data.index(b"\x2c\0\0\0\0")
    data[at + 5 : at + 9] = struct.pack("<HH", 65_000, 65_000)
    with pytest.raises(TooLargeError, match="50 megapixels"):
        decode(bytes(data))


def test_a_tiff_of_huge_tiles_is_refused():
    shorts = {256: 64, 257: 64, 258: 8, 259: 8, 262: 1, 277: 1, 322: 60_000, 323: 60_000}
    tags = [(tag, 3, 1, value) for tag, value in shorts.items()]
    with pytest.raises(TooLargeError, match="tiles of 60000 x 60000"):
        decode(tiff(*tags, (324, 4, 1, 8), (325, 4, 1, 8)))


def test_a_side_too_long_is_refused():
    with pytest.raises(TooLargeError, match="image is 20000 x 9 pixels; at most 16384 a side"):
        decode(png(20_000, 9))


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (500, 7)])
def test_a_side_too_short_is_refused(size):
    with pytest.raises(InputError, match=rf"image is {size[0]} x {size[1]} pixels; at least 8"):
        decode(save(Image.new("RGB", size), "PNG"))


@pytest.mark.parametrize("size", [(8, 8), (8, 500)])
def test_the_shortest_side_allowed_is_read(size):
    assert decode(save(Image.new("RGB", size), "PNG")).size == size


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?>\n<!-- hello -->\n<svg width="9"/>', "an SVG drawing"),
        (b"<!DOCTYPE html><html><body></body></html>", "a web page"),
        (b"\n<html>", "a web page"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"),
        (b"\0\0\0\x20ftypisom\0\0\2\0isomiso2", "a video"),
        (b"\x1aE\xdf\xa3\1\0\0\0", "a video"),
        (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"8BPS\0\1", "a Photoshop document"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"just some words\n", "text"),
        ("schön".encode(), "text"),
        (b"\x00\x01\x02\x03", "an unknown kind of file"),
        (b"\xff", "an unknown kind of file"),
        (b"B", "text"),
    ],
)
def test_what_is_not_a_picture_is_named(data, words):
    with pytest.raises(UnsupportedMediaError, match=f"photo looks like {words}.*; JPEG, PNG.*are read") as caught:
        decode(data, field="photo")
    assert caught.value.status == 415 and caught.value.field == "photo"


def test_the_content_decides_not_pillows_other_plugins():
    with pytest.raises(UnsupportedMediaError):
        decode(save(picture(), "PPM"))


@pytest.mark.parametrize("kind", decoder.FORMATS)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_truncated_file_is_said_to_be_cut_off(kind, share):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = save(noise, PILLOW_NAMES[kind])
    with pytest.raises(InputError, match=f"image .{kind}. is cut off or damaged") as caught:
        decode(data[: int(len(data) * share)])
    assert caught.value.status == 422


@pytest.mark.parametrize("keyword", [b"Comment", b"Raw profile type exif", b"XML:com.adobe.xmp"])
def test_a_text_bomb_in_a_png_is_left_out(keyword):
    bomb = png_chunk(b"zTXt", keyword + b"\0\0" + zlib.compress(bytes(30 * 2**20)))
    tracemalloc.start()
    try:
        assert decode(png(16, 16, bomb, rows=bytes(17 * 16))).size == (16, 16)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 2**20


def test_a_chunk_longer_than_its_file_is_refused():
    data = png(16, 16, struct.pack(">I", 2**31 - 1) + b"tEXt" + b"a\0b", rows=bytes(17 * 16))
    with pytest.raises(InputError):
        decode(data)


def test_tags_that_name_the_same_bytes_over_and_over_are_refused():
    tags = [(tag, 1, 200_000, 20) for tag in range(1000, 4000)]  # 600 MB from 240 KB
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            decode(tiff(*tags, tail=bytes(200_000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


def test_exif_tags_that_name_the_same_bytes_over_and_over_cost_little():
    tags = [(tag, 7, 60_000, 8) for tag in range(1000, 5000)]  # 240 MB from 64 KB
    block = b"Exif\0\0" + tiff(*tags, tail=bytes(12_000))
    data = save(picture(), "JPEG").replace(b"JFIF", b"none")
    data = data[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + data[2:]
    tracemalloc.start()
    try:
        assert decode(data).size == (48, 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20


def test_a_file_that_takes_too_long_is_given_up():
    with pytest.raises(InputError, match="takes more than 0 seconds to read"):
        decode(save(picture(), "PNG"), ImageLimits(max_cpu_s=0))


def damaged_files(kind: str, count: int):
    chance = random.Random(kind)
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    options = {} if kind in ("GIF", "BMP") else {"exif": exif}
    sources = [save(noise, PILLOW_NAMES[kind], **options)]
    sources += [save(noise.convert("L" if kind == "AVIF" else "P").convert("RGB"), PILLOW_NAMES[kind], **options)]
    if kind == "TIFF":
        sources += [save(noise, kind, compression=c) for c in ("tiff_lzw", "jpeg", "tiff_deflate")]
    if kind in ("GIF", "WebP", "PNG"):
        sources += [save(noise, PILLOW_NAMES[kind], save_all=True, append_images=[picture(24, 24)])]
    if kind == "PNG":
        sources += [save(noise.convert(mode), kind) for mode in ("1", "LA", "I;16")]
    for _ in range(count):
        data = bytearray(chance.choice(sources))
        if chance.random() < 0.3:
            del data[chance.randrange(len(data)) :]
        for _ in range(chance.choice((0, 1, 1, 4, 16))):
            if data:
                reach = min(len(data), 200) if chance.random() < 0.7 else len(data)
                data[chance.randrange(reach)] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        yield bytes(data)


@pytest.mark.parametrize("kind", decoder.FORMATS)
def test_damaged_files_give_a_picture_or_a_hub_error(kind):
    outcomes = set()
    for data in damaged_files(kind, 150):
        try:
            image = decode(data, ImageLimits(max_pixels=10**6))
        except HubError as error:
            assert error.message.startswith("image ") and error.status in (413, 415, 422)
            outcomes.add("error")
        else:
            assert image.mode == "RGB" and image.tobytes()
            outcomes.add("picture")
    assert outcomes == {"error", "picture"}


# --- out ------------------------------------------------------------------------------------------


def test_a_png_is_exact_and_a_jpeg_close():
    assert decode(encode(picture(), "png")).tobytes() == picture().tobytes()
    jpeg = decode(encode(picture(), "jpeg"))
    assert np.abs(np.asarray(jpeg, np.int16) - np.asarray(picture(), np.int16)).max() < 12


def test_a_jpeg_keeps_full_colour_resolution():
    with Image.open(io.BytesIO(encode(picture(), "jpeg"))) as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_a_mask_png_holds_exactly_the_ids():
    ids = np.random.default_rng(0).integers(0, 256, (33, 47), np.uint8)
    with Image.open(io.BytesIO(encode_mask(ids[:, ::-1]))) as image:
        assert image.mode == "L" and np.array_equal(np.asarray(image), ids[:, ::-1])


@pytest.mark.parametrize(
    "ids",
    [np.zeros((4, 4)), np.zeros((4, 4), np.int64), np.zeros((4, 4, 1), np.uint8), [[0]], np.zeros((0, 4), np.uint8)],
)
def test_a_mask_that_is_not_uint8_in_two_dimensions_is_refused(ids):
    with pytest.raises(ValueError, match=r"uint8 array \[height, width\]"):
        encode_mask(ids)


# --- to the model ---------------------------------------------------------------------------------


def test_normalise_is_the_textbook_formula():
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    out = normalise(picture(), mean, std)
    expected = (np.asarray(picture(), np.float32) / 255 - np.float32(mean)) / np.float32(std)
    assert out.dtype == np.float32 and np.array_equal(out, expected.transpose(2, 0, 1))


def test_to_array_is_a_copy():
    image = picture()
    images.to_array(image)[:] = 0
    assert image.tobytes() == picture().tobytes()


# --- overlay --------------------------------------------------------------------------------------

PALETTE = [(255, 0, 0), (0, 255, 0), (10, 20, 30)]


@pytest.fixture
def ids():
    return np.random.default_rng(0).integers(0, 3, (32, 48), np.uint8)


def test_overlay_at_opacity_zero_is_the_picture(ids):
    assert overlay(picture(), ids, PALETTE, 0).tobytes() == picture().tobytes()


def test_overlay_at_opacity_one_is_the_palette(ids):
    assert np.array_equal(np.asarray(overlay(picture(), ids, PALETTE, 1)), np.uint8(PALETTE)[ids])


def test_overlay_between_is_the_blend_within_one_level(ids):
    out = np.asarray(overlay(picture(), ids, PALETTE, 0.4), np.float64)
    expected = np.asarray(picture(), np.float64) * 0.6 + np.float64(PALETTE)[ids] * 0.4
    assert np.abs(out - expected).max() <= 1


def test_overlay_leaves_ignored_ids_and_needs_no_colour_for_them(ids):
    ids[:4] = 255
    out = np.asarray(overlay(picture(), ids, PALETTE, 1, ignore=(1, 255)))
    kept = np.isin(ids, (1, 255))
    assert np.array_equal(out[kept], np.asarray(picture())[kept])
    assert np.array_equal(out[~kept], np.uint8(PALETTE)[ids[~kept]])


def test_overlay_says_which_ids_have_no_colour(ids):
    ids[0, 0] = 7
    with pytest.raises(ValueError, match=r"class ids \[7\] have no colour"):
        overlay(picture(), ids, PALETTE, 0.5)


def test_overlay_refuses_ids_of_another_size_and_opacity_out_of_range(ids):
    with pytest.raises(ValueError, match="48 x 32, the picture 32 x 48"):
        overlay(picture(32, 48), ids, PALETTE, 0.5)
    with pytest.raises(ValueError, match=r"opacity must be between 0 and 1, got 1\.5"):
        overlay(picture(), ids, PALETTE, 1.5)


def test_inputs_are_never_edited(ids):
    image, before, ids_before = picture(), picture().tobytes(), ids.copy()
    overlay(image, ids, PALETTE, 0.5)
    normalise(image, (0, 0, 0), (1, 1, 1))
    encode(image, "jpeg")
    assert image.tobytes() == before and np.array_equal(ids, ids_before)


# --- thumbnails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tile", "step", "cell", "sight", "still", "view"])
@pytest.mark.parametrize(("size", "small"), [((900, 300), (100, 33)), ((40, 80), (40, 80)), ((3000, 1), (100, 1))])
def test_a_thumbnail_is_a_file_of_the_whole_picture_and_never_larger(
    kind: Any, size: tuple[int, int], small: tuple[int, int]
) -> None:
    image = Image.new("RGB", size, (200, 40, 90))
    before = image.tobytes()
    with Image.open(io.BytesIO(images.thumbnail(image, 100, kind))) as made:
        assert made.size == small and made.format == ("WEBP" if kind == "tile" else "JPEG")
        assert np.abs(np.asarray(made.convert("RGB")).mean((0, 1)) - (200, 40, 90)).max() < 4
    assert (image.size, image.tobytes()) == (size, before), "the picture itself stays as it is"
