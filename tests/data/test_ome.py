"""OME metadata: which pages hold red, green and blue, and when that cannot be told."""

from __future__ import annotations

import pytest

from atypia.data.ome import parse_ome

HEAD = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
CHANNELS = "".join(f'<Channel ID="Channel:0:{n}" SamplesPerPixel="1"/>' for n in range(3))


def ome(inside: str, *, sizes: str = 'SizeC="3" SizeZ="1" SizeT="1"') -> str:
    pixels = f'<Pixels ID="P:0" Type="uint8" SizeX="20" SizeY="10" {sizes}>{inside}</Pixels>'
    return f"{HEAD}{pixels}</Image></OME>"


@pytest.mark.parametrize(
    ("blocks", "planes"),
    [
        ("", (0, 1, 2)),
        ("<TiffData/>", (0, 1, 2)),
        ('<TiffData IFD="0" PlaneCount="3"/>', (0, 1, 2)),
        ('<TiffData IFD="4" PlaneCount="3"/>', (4, 5, 6)),
        ("".join(f'<TiffData IFD="{5 - n}" FirstC="{n}"/>' for n in range(3)), (5, 4, 3)),
    ],
)
def test_planes_are_where_tiff_data_says(blocks: str, planes: tuple[int, ...]) -> None:
    (image,) = parse_ome(ome(CHANNELS + blocks))
    assert (image.size_px, image.planes, image.planes_fault) == ((20, 10), planes, "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (ome(CHANNELS, sizes='SizeC="3" SizeZ="5" SizeT="1"'), "5 focal planes"),
        (ome(CHANNELS.replace("/>", ' Fluor="DAPI"/>')), "expected red, green and blue"),
        (
            ome(
                CHANNELS
                + "".join(
                    f'<TiffData FirstC="{n}"><UUID FileName="{n}.tif"/></TiffData>'
                    for n in range(3)
                )
            ),
            "in several files",
        ),
        (ome(CHANNELS + '<TiffData IFD="0" FirstC="1"/>'), "does not say where"),
    ],
)
def test_what_cannot_be_told_is_said(text: str, fault: str) -> None:
    (image,) = parse_ome(text)
    assert image.planes == ()
    assert fault in image.planes_fault


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "Aperio Image Library", "<OME", ome('SizeX="a"'), HEAD),
        ome("").replace('SizeX="20"', 'SizeX="wide"'),
    ],
)
def test_what_is_no_ome_metadata_describes_no_image(text: str | None) -> None:
    assert parse_ome(text) in ([], parse_ome(ome("")))


def test_colours_that_lie_together_are_no_planes() -> None:
    (image,) = parse_ome(ome('<Channel ID="Channel:0:0" SamplesPerPixel="3"/>'))
    assert (image.planes, image.planes_fault) == ((), "")
