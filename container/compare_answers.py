"""Compare the answers of a container with those of the same program outside, page by page.

python container/compare_answers.py CASE OUTPUT BUNDLE
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from atypia.challenges.midog25.program import answer_stack

NAME = "multiple-mitotic-figure-classification.json"


def main() -> None:
    case, output, bundle = map(Path, sys.argv[1:])
    found = json.loads((output / NAME).read_text())
    with tempfile.TemporaryDirectory() as place:
        done = answer_stack(case / "input", Path(place), bundle=bundle)
        expected = json.loads(done.path.read_text())
    assert len(found) == len(expected)
    assert [one["class"] for one in found] == [one["class"] for one in expected]
    pairs = zip(found, expected, strict=True)
    largest = max(abs(one["confidence"] - other["confidence"]) for one, other in pairs)
    print(f"{len(found)} pages: the same classes; largest difference of P {largest:.1g}")
    assert largest < 0.02  # outside, another runtime may compute in bf16


if __name__ == "__main__":
    main()
