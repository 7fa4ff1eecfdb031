"""Write a case of 16 pages, phantoms, as the platform hands it over.

python container/make_case.py FOLDER
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from PIL import Image

from atypia.data.phantom import make_phantom

PAGES = 16
SLUG = "stacked-histopathology-roi-cropouts"


def main() -> None:
    case = Path(sys.argv[1]) / "input"
    folder = case / "images" / SLUG
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as place:
        figures = make_phantom(Path(place) / "cohort", figures=PAGES, domains=2, size_px=128)
        first, *more = (Image.open(path).convert("RGB") for path in figures.image_paths())
        first.save(folder / "stack.tif", save_all=True, append_images=more)
    (case / "inputs.json").write_text(json.dumps([{"interface": {"slug": SLUG}}]))


if __name__ == "__main__":
    main()
