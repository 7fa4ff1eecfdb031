"""Points on a slide that lies with the server: one slide at a time, a few wait."""

from __future__ import annotations

import logging
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from atypia.errors import AtypiaError
from atypia.files import escape_text, parse_json, resolve_inside
from atypia.inference.predictor import Predictor

MOST_POINTS = 20_000
"""Points on a slide in a request."""

MOST_SLIDES = 5
"""Slides that are in work or wait."""

_MOST_NAME = 1024


class NoSlideError(AtypiaError):
    """There is no such slide below the root."""


class TooManyPointsError(AtypiaError):
    """More points than a request may hold."""


class GoneError(AtypiaError):
    """Whoever asked has gone."""


class Slides:
    """Classifies points on slides below a root, one slide after the other."""

    def __init__(self, predictor: Predictor, root: Path) -> None:
        """Serve the slides below a folder.

        Raises:
            AtypiaError: there is no such folder.
        """
        if not root.is_dir():
            raise AtypiaError(f"{root}: no such folder; give the folder of the slides as --root")
        # Slides need an extra of their own; who lacks it is told when the server starts.
        from atypia.workflows import slide

        self._workflow = slide
        self.root = root.resolve()
        self.waiting = 0
        self.pool = ThreadPoolExecutor(1, "slide")
        self._predictor = predictor

    def find(self, name: str) -> Path:
        """Return a slide by its path below the root, links resolved.

        Raises:
            NoSlideError: the path leads out of the root, or to nothing there.
        """
        shown = escape_text(name[:_MOST_NAME])
        missing = NoSlideError(
            f"{shown}: no slide below the server's root; give its path from there, with / between "
            "folders"
        )
        if len(name) > _MOST_NAME or "\\" in name:
            raise missing
        try:
            path = resolve_inside(self.root, name).resolve()
            found = path != self.root and (path.is_file() or path.is_dir())
        except (AtypiaError, OSError, ValueError):
            found = False
        if not found:
            raise missing
        return path

    def classify(
        self, slide: Path, points: bytes, mpp: float | None, gone: threading.Event
    ) -> dict[str, Any]:
        """Return the points of a GeoJSON file with class and measurements, as QuPath reads them.

        Beside the features, `atypia` holds counts, and what could not be classified and why.

        Raises:
            TooManyPointsError: there are over `MOST_POINTS`.
            GoneError: `gone` was set.
            AtypiaError: the slide or the points cannot be used.
        """
        with tempfile.TemporaryDirectory(prefix="atypia-") as folder:
            given, out = Path(folder, "points.geojson"), Path(folder, "classified.geojson")
            given.write_bytes(points)
            try:
                done = self._workflow.classify_slide(
                    self._predictor,
                    self._workflow.SlideJob(slide, given, mpp),
                    self._workflow.EVERY_POINT,
                    [out],
                    None,
                    on_progress=_bound(gone),
                    level=logging.DEBUG,
                )
                document: dict[str, Any] = parse_json(out.read_text(encoding="utf-8"))
            except (TooManyPointsError, GoneError):
                raise
            except AtypiaError as fault:
                raise AtypiaError(self._shorten(str(fault), folder)) from None
            failures = [failure.message for failure in done.record.failures]
            document["atypia"] = {
                "bundle": done.record.bundle_name,
                "bundle_sha256": done.record.bundle_sha256,
                "counts": asdict(done.counts),
                "failures": [self._shorten(line, folder) for line in failures],
                "warnings": [self._shorten(line, folder) for line in done.warnings],
            }
            return document

    def _shorten(self, text: str, folder: str) -> str:
        """Return a message without the server's own paths."""
        for place in (folder, str(self.root)):
            text = text.replace(f"{place}/", "").replace(place, "the server's root")
        return text


def _bound(gone: threading.Event) -> Callable[[str, int, int, str], None]:
    def on_progress(stage: str, done: int, of: int, note: str) -> None:
        if of > MOST_POINTS:
            raise TooManyPointsError(
                f"points: {of:,}, expected at most {MOST_POINTS:,}; send them in several requests, "
                "or use atypia slide"
            )
        if gone.is_set():
            raise GoneError("the client has gone")

    return on_progress
