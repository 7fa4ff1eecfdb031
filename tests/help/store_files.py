"""AnnotationStores in the layout of TIAToolbox 2.1 (version 1.0.1 of a store), for tests."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

KEY = "3d0c8a52-9b7e-4f39-8f0e-5a1f3c6e7d{:02}"


def write_store(path: Path, rows: Sequence[tuple], compression: object = "zlib") -> Path:
    """Write rows of key, x, y, geometry (bytes or None) and properties (anything, or its text)."""
    with closing(sqlite3.connect(path)) as store:
        store.execute("CREATE TABLE metadata (key TEXT UNIQUE, value TEXT)")
        facts = {"version": "1.0.1", "compression": compression, "compression_level": 9}
        store.executemany(
            "INSERT INTO metadata VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in facts.items()],
        )
        store.execute(
            "CREATE TABLE annotations (id INTEGER PRIMARY KEY, key TEXT UNIQUE, objtype TEXT, "
            "cx INTEGER NOT NULL, cy INTEGER NOT NULL, geometry BLOB, properties TEXT, "
            "area INTEGER NOT NULL)"
        )
        for key, x, y, geometry, properties in rows:
            text = properties if isinstance(properties, str | bytes) else json.dumps(properties)
            store.execute(
                "INSERT INTO annotations VALUES (NULL, ?, 'Point', ?, ?, ?, ?, 0)",
                (key, x, y, geometry, text),
            )
        store.commit()
    return path


def mitosis(number: int, x: int, y: int, probability: float, **more: object) -> tuple:
    """Return the row of a detected mitosis."""
    properties = {"type": "Mitotic_Figure", "probability": probability, **more}
    return (KEY.format(number), x, y, None, properties)
