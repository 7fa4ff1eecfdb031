"""Crops for the network, read ahead by a few threads while the network works."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from atypia.bundle.manifest import BundleManifest
from atypia.data.plain_crops import plain_crop
from atypia.data.windows import cut_window
from atypia.errors import AtypiaError
from atypia.inference.scope import Crop, find_fault
from atypia.inference.sources import Figure

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class CropSpec:
    """How a figure is presented to the network.

    Attributes:
        crop_um: side of a crop in tissue, in um.
        input_px: side of a crop in px.
        assumed_mpp: um/px taken for a figure of which none is known.
        finest_mpp: um/px of the sharpest figures in training; finer ones are made as coarse.
        judges_scope: whether crops are told apart that hold no tissue, ink, or nothing sharp.
    """

    crop_um: float
    input_px: int
    assumed_mpp: float
    finest_mpp: float
    judges_scope: bool = False

    @classmethod
    def of(cls, manifest: BundleManifest, *, judges_scope: bool = False) -> CropSpec:
        """Return how a bundle wants figures."""
        return cls(
            manifest.crop_um,
            manifest.input_px,
            manifest.assumed_mpp,
            manifest.training_mpp[0],
            judges_scope,
        )


@dataclass(frozen=True)
class Failure:
    """A figure that could not be read.

    Attributes:
        figure_id: of the figure.
        image: of the figure.
        message: one line: what is wrong with which image and what to do.
    """

    figure_id: str
    image: str
    message: str


@dataclass(frozen=True)
class ReadFigure:
    """A figure that was read, or the failure to do so.

    Attributes:
        figure: what was read.
        crop: float32 (3, P, P), RGB in [0, 1], or why there is none.
        seconds: time of one thread spent on it.
        scope_reason: why the crop is out of scope; "" where it is in scope, or nobody asked.
    """

    figure: Figure
    crop: Crop | Failure
    seconds: float
    scope_reason: str = ""


def compute_plain_window_um(crop_um: float, mpp: float) -> float:
    """Return the side of the tissue, in um, that a plain crop is sampled from."""
    return 1.1 * crop_um + 4 * mpp


def make_crop(image: npt.NDArray[np.uint8], mpp: float, spec: CropSpec) -> Crop:
    """Make the crop that the network sees of an image.

    Args:
        image: uint8 (H, W, 3) RGB, the figure at its centre.
        mpp: um/px of the image.
        spec: of the bundle.

    Returns:
        float32 (3, P, P), RGB in [0, 1], a view of (P, P, 3). It depends on this image alone, not
        on its batch.

    Raises:
        ImageError: the image covers less than three quarters of the crop.
    """
    window = cut_window(image, mpp, spec.crop_um, compute_plain_window_um(spec.crop_um, mpp))
    return plain_crop(
        window,
        mpp,
        crop_um=spec.crop_um,
        input_px=spec.input_px,
        finest_mpp=spec.finest_mpp,
    )


def stack_crops(crops: Sequence[Crop]) -> Crop:
    """Return B crops, each (3, P, P), as (B, 3, P, P); channels lie together, as in each crop."""
    batch: Crop = np.stack([crop.transpose(1, 2, 0) for crop in crops]).transpose(0, 3, 1, 2)
    return batch


def read_ahead(
    figures: Iterable[Figure], spec: CropSpec, *, threads: int, ahead: int
) -> Iterator[ReadFigure]:
    """Read figures in a pool of threads, in order, at most `ahead` of them before their turn.

    Args:
        figures: taken from as they are needed.
        spec: of the bundle.
        threads: how many read at a time.
        ahead: how many crops wait in memory at most.
    """
    with ThreadPoolExecutor(threads, "read") as pool:
        yield from map_in_order(pool, partial(read_figure, spec=spec), figures, ahead=ahead)


def map_in_order(
    pool: ThreadPoolExecutor,
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    ahead: int,
) -> Iterator[Result]:
    """Work on items in a pool and yield the results in the items' order.

    Args:
        pool: its threads do the work.
        work: called with each item.
        items: taken from as they are needed.
        ahead: how many items are taken before the first result is waited for, at least 1.
    """
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def read_figure(figure: Figure, spec: CropSpec) -> ReadFigure:
    """Read a figure and make its crop; what cannot be read becomes a failure."""
    begun = time.perf_counter()
    crop: Crop | Failure
    reason = ""
    try:
        mpp = spec.assumed_mpp if figure.mpp is None else figure.mpp
        crop = make_crop(figure.pixels(), mpp, spec)
        if spec.judges_scope:
            reason = find_fault(crop, spec.crop_um)
    except AtypiaError as fault:
        text = " ".join(str(fault).split())
        name = figure.image or f"image {figure.figure_id}"
        message = text if name in text else f"{name}: {text}"
        crop = Failure(figure.figure_id, figure.image, message)
    return ReadFigure(figure, crop, time.perf_counter() - begun, reason)
