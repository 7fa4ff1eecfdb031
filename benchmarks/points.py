"""Time and memory of reading QuPath's objects, and of giving them back classified.

python benchmarks/points.py [OBJECTS]
"""

from __future__ import annotations

import json
import random
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from atypia.data.points.document import read_document
from atypia.data.points.qupath import read_objects
from atypia.data.points.qupath_results import PointResult, write_features

OBJECTS = int(sys.argv[1]) if len(sys.argv) > 1 else 10**6
SIDE_PX = 100_000


def write(path: Path) -> None:
    rng = random.Random(0)
    with path.open("w") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number in range(OBJECTS):
            place = [round(rng.uniform(0, SIDE_PX), 2) for _ in "xy"]
            feature = {
                "type": "Feature",
                "id": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                "geometry": {"type": "Point", "coordinates": place},
                "properties": {
                    "objectType": "detection",
                    "classification": {"name": "Mitosis", "color": [200, 0, 0]},
                    "measurements": {"Detection probability": round(rng.random(), 4)},
                },
            }
            file.write(("," if number else "") + json.dumps(feature))
        file.write("]}")


@contextmanager
def print_cost(what: str) -> Iterator[None]:
    begun, used = time.perf_counter(), time.process_time()
    yield
    wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - used
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{what:<28} {wall_s:6.1f} s  {cpu_s:6.1f} s of CPU  {peak_mb:6.0f} MB at most so far")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "objects.geojson"
        write(path)
        print(f"{OBJECTS} objects, {path.stat().st_size / 1e6:.0f} MB")
        with print_cost("before"):
            pass
        with print_cost("document"):
            document = read_document(path)
        with print_cost("points of it"):
            objects = read_objects(path, document)
        findings = [PointResult("Atypical mitosis", (200, 0, 0), {"P(atypical)": 0.5})] * OBJECTS
        with print_cost("given back"):
            write_features(Path(folder) / "out.geojson", objects.give_back(findings, "any.svs"))


if __name__ == "__main__":
    main()
