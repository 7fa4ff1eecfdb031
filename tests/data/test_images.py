"""Images: good pixels come through to the bit, every bad file gets one line that helps."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from atypia.data.images import decode_image, figure_pages, read_image, read_pages
from atypia.errors import ImageError


def crop(side: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png_header(width: int, height: int, bits: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


def png_16_bit_rgb() -> bytes:
    rows = b"".join(b"\x00" + bytes(64 * 6) for _ in range(64))
    return png_header(64, 64, bits=16, body=zlib.compress(rows))


def tiff_16_bit_rgb() -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((64, 64, 3), np.uint16), photometric="rgb")
    return buffer.getvalue()


def tiff_16_bit_in_planes() -> bytes:
    buffer = io.BytesIO()
    planes = np.zeros((3, 64, 64), np.uint16)
    tifffile.imwrite(buffer, planes, photometric="rgb", planarconfig="separate")
    return buffer.getvalue()


def tiff_of(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, crop().astype(kind), photometric="rgb", **options)
    return buffer.getvalue()


def grey_planes(**options: object) -> bytes:
    """Red, green and blue in three grey pages."""
    buffer = io.BytesIO()
    planes = np.moveaxis(crop(), -1, 0)
    tifffile.imwrite(buffer, planes, photometric="minisblack", **options)
    return buffer.getvalue()


def animated(kind: str) -> bytes:
    first, second = (Image.fromarray(crop(seed=seed)) for seed in (0, 1))
    return encoded(first, kind, save_all=True, append_images=[second], duration=100)


def half_transparent() -> bytes:
    alpha = np.full((64, 64, 1), 255, np.uint8)
    alpha[:8] = 100
    return encoded(Image.fromarray(np.concatenate([crop(), alpha], axis=2), "RGBA"))


def grey_palette() -> bytes:
    image = Image.fromarray(crop()[..., 0]).convert("P")
    return encoded(image)


def pages_tiff() -> bytes:
    first, second = (Image.fromarray(crop(seed=seed)) for seed in (0, 1))
    return encoded(first, "TIFF", save_all=True, append_images=[second])


GREY = Image.fromarray(crop()[..., 0])

# What lies in the file, and a word of the message that says what is wrong.
BAD_IMAGES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"figure_id,image\n1,a.png\n", "not an image"),
    "truncated_png": (lambda: encoded(Image.fromarray(crop()))[:4000], "truncated"),
    "truncated_jpeg": (lambda: encoded(Image.fromarray(crop()), "JPEG")[:900], "truncated"),
    "truncated_tiff": (lambda: encoded(Image.fromarray(crop()), "TIFF")[:400], "damaged"),
    "only_a_png_signature": (lambda: b"\x89PNG\r\n\x1a\n", "damaged"),
    "bit_flipped_png": (
        lambda: (data := encoded(Image.fromarray(crop())))[:3000] + b"\x00\xff" + data[3002:],
        "damaged",
    ),
    "png_16_bit": (png_16_bit_rgb, "8 bits"),
    "tiff_16_bit": (tiff_16_bit_rgb, "8 bits"),
    "tiff_16_bit_in_planes": (tiff_16_bit_in_planes, "8 bits"),
    "grey_16_bit": (
        lambda: encoded(Image.fromarray(crop()[..., 0].astype(np.uint16) * 200)),
        "8 bits",
    ),
    "grey": (lambda: encoded(GREY), "greyscale"),
    "grey_alpha": (lambda: encoded(GREY.convert("LA")), "greyscale"),
    "grey_jpeg": (lambda: encoded(GREY, "JPEG"), "greyscale"),
    "black_and_white": (lambda: encoded(GREY.convert("1")), "greyscale"),
    "grey_palette": (grey_palette, "greyscale"),
    "cmyk": (lambda: encoded(Image.fromarray(crop()).convert("CMYK"), "JPEG"), "CMYK"),
    "lab": (lambda: encoded(Image.fromarray(crop()).convert("LAB"), "TIFF"), "LAB"),
    "half_transparent": (half_transparent, "transparent"),
    "one_colour_transparent": (
        lambda: encoded(Image.fromarray(np.full((64, 64, 3), 9, np.uint8)), transparency=(9, 9, 9)),
        "transparent",
    ),
    "one_pixel": (lambda: encoded(Image.fromarray(crop(1))), "1 x 1 px"),
    "thin": (lambda: encoded(Image.new("RGB", (300, 2))), "300 x 2 px"),
    "million_by_one": (lambda: png_header(1_000_000, 1), "1000000 x 1 px"),
    "bomb_that_warns": (lambda: png_header(12_000, 9_000), "12000 x 9000 px"),
    "bomb": (lambda: png_header(60_000, 60_000), "too large"),
    "several_pages": (pages_tiff, "several images (2 of 64 x 64 px)"),
    "animated_png": (lambda: animated("PNG"), "several images"),
    "animated_webp": (lambda: animated("WEBP"), "several images"),
    "animated_gif": (lambda: animated("GIF"), "is a GIF"),
    "jpeg_2000": (lambda: encoded(Image.fromarray(crop()), "JPEG2000"), "is a JPEG 2000"),
    "heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(90), "HEIC"),
    "dicom": (lambda: bytes(128) + b"DICM" + bytes(90), "is a DICOM file"),
    "tiff_float": (lambda: tiff_of("f4"), "3 x 32 bits (floating point)"),
    "tiff_signed": (lambda: tiff_of("i2"), "3 x 16 bits (signed)"),
    "tiff_32_bit": (lambda: tiff_of("u4"), "3 x 32 bits"),
    "tiff_jpeg_2000": (lambda: tiff_of("u1", compression="jpeg2000"), "compressed by JPEG2000"),
    "tiff_jpeg_xl": (lambda: tiff_of("u1", compression="jpegxl"), "compressed by JPEGXL"),
    "tiff_lerc": (lambda: tiff_of("u1", compression="lerc"), "compressed by LERC"),
    "tiff_cmyk": (lambda: encoded(Image.fromarray(crop()).convert("CMYK"), "TIFF"), "CMYK"),
    "three_grey_pages": (grey_planes, "holds 3 grey images"),
    "stains": (
        lambda: grey_planes(
            ome=True, metadata={"axes": "CYX", "Channel": {"Name": ["DAPI", "FITC", "TRITC"]}}
        ),
        "its channels are DAPI, FITC, TRITC, expected red, green and blue",
    ),
}


@pytest.mark.parametrize("kind", BAD_IMAGES)
def test_a_bad_image_gets_one_line_naming_the_file(kind: str, tmp_path: Path) -> None:
    build, expected = BAD_IMAGES[kind]
    path = tmp_path / f"{kind}.png"
    path.write_bytes(build())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError) as caught:
            read_image(path)
        with pytest.raises(ImageError):
            decode_image(path.read_bytes(), path.name)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert expected in message
    assert ";" in message, "the message says what to do"
    assert "\n" not in message


def test_a_missing_file_a_folder_and_a_pipe_are_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("gone.png")
    with pytest.raises(ImageError, match=r"pipe\.png: is not a regular file"):
        read_image(tmp_path / "pipe.png")
    with pytest.raises(
        ImageError, match=r"link\.png: is a link to gone\.png, which does not exist"
    ):
        read_image(tmp_path / "link.png")
    with pytest.raises(ImageError, match=r"gone\.png: no such file"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(ImageError, match="not a regular file"):
        read_image(Path("/dev/null"))


def test_a_bomb_is_refused_without_its_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    body = zlib.compress(bytes(9000 * (9000 * 3 + 1)), 1)
    path.write_bytes(png_header(9000, 9000, body=body))
    tracemalloc.start()
    with pytest.raises(ImageError, match="9000 x 9000"):
        read_image(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


def test_nothing_reaches_stderr(tmp_path: Path) -> None:
    paths = []
    for kind, (build, _) in BAD_IMAGES.items():
        path = tmp_path / f"{kind}.tif"
        path.write_bytes(build())
        paths.append(str(path))
    for compression in ("lzw", "jpeg", "deflate", "webp"):  # libtiff complains by itself
        path = tmp_path / f"damaged-{compression}.tif"
        data = bytearray(tiff_of("u1", compression=compression))
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            (start,) = file.pages[0].dataoffsets
        data[start + 20 : start + 200] = b"\xa5" * 180
        path.write_bytes(data)
        paths.append(str(path))
    with tifffile.TiffFile(tmp_path / "damaged-lzw.tif", mode="r+b") as file:
        file.pages[0].tags["SamplesPerPixel"].overwrite(2048)  # Pillow logs that
    program = (
        "import sys, pathlib\n"
        "from atypia.data.images import read_image, read_pages\n"
        "from atypia.errors import ImageError\n"
        "for name in sys.argv[1:]:\n"
        "    for read in (read_image, lambda path: list(read_pages(path))):\n"
        "        try: read(pathlib.Path(name))\n"
        "        except ImageError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", program, *paths], capture_output=True, check=True
    )
    assert done.stderr == b""


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_pixels_come_through_to_the_bit(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"crop{suffix}"
    Image.fromarray(crop()).save(path)
    pixels = read_image(path)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, crop())
    assert np.array_equal(decode_image(path.read_bytes(), "crop"), crop())
    pixels[0, 0] = 0  # a caller may write into what it was given


def test_lossless_turns_into_rgb() -> None:
    image = Image.fromarray(crop())
    assert np.array_equal(decode_image(encoded(image.convert("RGBA")), "opaque"), crop())
    palette = image.quantize(64)
    assert np.array_equal(
        decode_image(encoded(palette), "palette"), np.array(palette.convert("RGB"))
    )
    lossless = encoded(image, "WEBP", lossless=True)
    assert np.array_equal(decode_image(lossless, "webp"), crop())
    jpeg = encoded(image, "JPEG", quality=95)
    assert np.array_equal(decode_image(jpeg, "jpeg"), np.array(Image.open(io.BytesIO(jpeg))))


def test_of_a_phones_jpeg_the_picture_itself_is_read() -> None:
    picture = np.full((64, 64, 3), 200, np.uint8)
    options: dict[str, Any] = {"save_all": True, "append_images": [Image.fromarray(picture // 4)]}
    phone = encoded(Image.fromarray(picture), "MPO", **options)
    assert np.abs(decode_image(phone, "phone").astype(int) - 200).max() < 5


def test_a_panorama_is_not_one_picture() -> None:
    first, second = (Image.fromarray(crop(seed=seed)) for seed in (0, 1))
    data = encoded(first, "MPO", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(data)) as image:
        size = image.mpinfo[0xB002][0]["Size"]
    # An entry of the index has 16 bytes and begins with its kind: the main picture, an undefined.
    begin = data.index(struct.pack("<LL", 0x030000, size)) + 16
    assert data[begin : begin + 4] == bytes(4)
    panorama = data[:begin] + struct.pack("<L", 0x020001) + data[begin + 4 :]
    with pytest.raises(ImageError, match="holds several images"):
        decode_image(panorama, "panorama")


@pytest.mark.parametrize("order", [["Red", "Green", "Blue"], ["Blue", "Red", "Green"], None])
def test_colours_in_three_pages_of_an_ome_tiff_are_one_image(
    order: list[str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "crop.ome.tif"
    names = order or ["Red", "Green", "Blue"]
    planes = np.stack([crop()[..., "RGB".index(name[0])] for name in names])
    said: dict[str, Any] = {"axes": "CYX", **({"Channel": {"Name": order}} if order else {})}
    tifffile.imwrite(path, planes, photometric="minisblack", metadata=said)
    assert np.array_equal(read_image(path), crop())
    assert len(figure_pages(path)) == 1
    (page,) = read_pages(path)
    assert np.array_equal(page, crop())


def test_exif_orientation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned: the camera's top is the picture's right
    turned = decode_image(encoded(Image.fromarray(crop()), exif=exif), "turned")
    assert np.array_equal(turned, np.rot90(crop(), -1))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate"])
def test_pages_come_in_order(compression: str | None, tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    pages = [crop(seed=seed) for seed in range(5)]
    first, *rest = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=rest, compression=compression)
    found = list(read_pages(path))
    assert len(found) == 5
    assert all(np.array_equal(page, want) for page, want in zip(found, pages, strict=True))


def test_a_bad_page_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in (
            crop(seed=0),
            crop(seed=1).astype(np.uint16),
            crop(seed=2)[..., 0],
            crop(side=4),
            crop(seed=3).astype(np.float32),
            crop(seed=4),
        ):
            kind = "rgb" if page.ndim == 3 else "minisblack"
            writer.write(page, photometric=kind, metadata=None)
    found = list(read_pages(path))
    assert np.array_equal(found[0], crop(seed=0))
    assert np.array_equal(found[5], crop(seed=4))
    faults = found[1:5]
    assert all(isinstance(fault, ImageError) for fault in faults)
    for number, fault in enumerate(faults, start=2):
        assert f"page {number}:" in str(fault)
    assert "8 bits" in str(faults[0])
    assert "greyscale" in str(faults[1])
    assert "4 x 4 px" in str(faults[2])


def test_a_truncated_stack_gives_what_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, np.stack([crop(seed=seed) for seed in range(3)]), photometric="rgb")
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    found = list(read_pages(path))
    assert np.array_equal(found[0], crop(seed=0))
    assert isinstance(found[-1], ImageError)


def test_a_stack_that_is_no_tiff_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "crop.png"
    Image.fromarray(crop()).save(path)
    with pytest.raises(ImageError, match="TIFF"):
        read_pages(path)
