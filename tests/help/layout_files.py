"""Small folders laid out as the public ones are, quirks included."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

AMI_BR_HEADER = (
    ",slide,dataset,uid,x,y,expert1_label,expert2_label,"
    "expert1_atypical,expert2_atypical,expert3_atypical,majority_atypical\n"
)
AMI_BR_ROWS = (
    "0,002.tiff,MIDOG21,6,10,20,NMF metaphase,NMF metaphase,False,False,True,False\n"
    "1,060.tiff,MIDOG21,7,1,2,AMF other,NMF metaphase,True,True,True,True\n"
    "2,101.tiff,MIDOG21,8,1,2,AMF other,AMF other,True,True,False,False\n"
    "3,01_stitched1.tif,TUPAC16,6,1,2,AMF other,AMF other,True,True,False,True\n"
    "4,24.tif,TUPAC16,9,1,2,AMF other,AMF other,True,True,False,True\n"
    "5,73.tif,TUPAC16,10,1,2,AMF other,AMF other,True,True,False,True\n"
)
MIDOG25_HEADER = (
    "image_id,filename,coordinateX,coordinateY,Tumor,Scanner,Origin,Species,"
    "expert1,expert2,expert3,majority\n"
)


def touch_files(folder: Path, names: Iterable[str]) -> None:
    """Write a file of each name below a folder, with its name as content."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
