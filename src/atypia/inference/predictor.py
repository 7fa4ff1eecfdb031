"""The predictor: figures in, rows of the predictions table out, in order, memory flat.

The members' logits are averaged, and the average is calibrated: P = calibration(mean logit), as
the calibration was fitted. `spread` is the standard deviation over members of each member's own
calibrated P (population form); with one member there is none, and it stays empty.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from atypia.bundle.load import Bundle, load_bundle
from atypia.bundle.manifest import BundleManifest
from atypia.data.images import image_pixels, read_image
from atypia.data.predictions import CALLS, PREDICTION_COLUMNS, empty_predictions
from atypia.errors import AtypiaError, ImageError, OptionError
from atypia.evaluation.calibration import Calibration
from atypia.files import escape_text
from atypia.inference.alignment import align
from atypia.inference.crops import (
    CropSpec,
    Failure,
    ReadFigure,
    map_in_order,
    read_ahead,
    stack_crops,
)
from atypia.inference.options import PredictOptions, RuntimeKeywords
from atypia.inference.runtimes.base import Outputs, Runtime
from atypia.inference.runtimes.choice import start_runtime
from atypia.inference.sources import Figure, MppSource, RGBImage, require_mpp

if TYPE_CHECKING:
    from atypia.models.ensemble import Ensemble

_log = logging.getLogger(__name__)

# Measured: larger batches leave the CPU's cache and cost memory, smaller ones leave a GPU idle.
CPU_BATCH = 24
GPU_BATCH = 256

OneImage = Path | str | Image.Image | npt.NDArray[np.uint8]
_EXPECTED = (
    "expected files (str or Path), arrays uint8 (H, W, 3) or images of Pillow; give one or a list"
)


@dataclass(frozen=True)
class BatchScores:
    """The results of one batch.

    Attributes:
        frame: rows of the predictions table, in order, without the failures.
        failures: figures that could not be read.
        reading_s: seconds spent reading and cropping, summed over threads.
        network_s: seconds spent in the network, summed over threads.
    """

    frame: pd.DataFrame
    failures: tuple[Failure, ...]
    reading_s: float
    network_s: float

    @property
    def figures(self) -> int:
        """How many figures the batch held, failures included."""
        return len(self.frame) + len(self.failures)


class Predictor:
    """A bundle, ready to classify. Made by `Predictor.load`.

    Attributes:
        bundle: what classifies; its calibration is moved to another prevalence and aligned to a
            laboratory where that was asked for.
        aligned_by: what alignment added to the logit of P; None where none was asked for.
        options: that it was loaded with.
        runtime: what computes its members.
        crop_spec: how a figure is presented to the network.

    Example:
        >>> import atypia, numpy as np
        >>> predictor = atypia.load(members=1)
        >>> image = np.full((96, 96, 3), 200, dtype=np.uint8)
        >>> len(predictor.predict(image, mpp=0.25))
        1
    """

    def __init__(self, bundle: Bundle, options: PredictOptions, runtime: Runtime) -> None:
        calibration = bundle.calibration
        if options.prevalence is not None:
            calibration = calibration.at_prevalence(options.prevalence)
        bias = calibration.bias
        if options.align_to is not None:
            calibration = align(calibration, options.align_to, bundle)
        self.aligned_by = None if options.align_to is None else calibration.bias - bias
        self.bundle = replace(bundle, calibration=calibration)
        self.options = options
        self.runtime = runtime
        self.crop_spec = CropSpec.of(bundle.manifest, judges_scope=options.scope == "image")

    @classmethod
    def load(
        cls,
        bundle: Path | str | Bundle | None = None,
        options: PredictOptions | None = None,
        **keywords: Unpack[RuntimeKeywords],
    ) -> Predictor:
        """Load a bundle for prediction; every file of it is compared with its hash.

        Args:
            bundle: its folder, or one that is loaded; none takes that of the options, else the one
                that comes with atypia.
            options: how it runs; none takes what suits this machine.
            **keywords: options by their names, such as `device="cpu"`; see `PredictOptions`.

        Raises:
            BundleError: the bundle is incomplete, changed or not understood, or was trained on
                other weights of the backbone.
            AtypiaError: an option is not known or out of range, there is no such device or runtime,
                the backbone's weights are not here, or the bundle does not know the share of
                atypical figures in its training.

        Example:
            >>> import atypia
            >>> atypia.load(members=1, device="cpu").manifest.name
            'atypia-lite'
        """
        options = (options or PredictOptions()).updated(keywords)
        if not isinstance(bundle, Bundle):
            bundle = load_bundle(options.folder if bundle is None else Path(bundle))
        options = options.updated({"bundle": bundle.folder})
        return cls(bundle, options, start_runtime(bundle, options))

    def __repr__(self) -> str:
        name, count, runtime = self.bundle.manifest.name, self.runtime.members, self.runtime
        return (
            f"Predictor({name}, {count} member{'s' if count > 1 else ''}, {runtime.version_text}, "
            f"{runtime.device_name}, {runtime.precision})"
        )

    @property
    def manifest(self) -> BundleManifest:
        """The manifest of the bundle."""
        return self.bundle.manifest

    @property
    def calibration(self) -> Calibration:
        """The calibration that gives P(atypical)."""
        return self.bundle.calibration

    @cached_property
    def module(self) -> Ensemble:
        """The members as a torch module, whatever computes predictions: see `Ensemble`.

        It is loaded when it is first asked for: float32, on the CPU, its layers named as in the
        backbone, in evaluation mode.

        Raises:
            AtypiaError: the backbone's weights, to which the bundle holds an adapter, are not here.
        """
        # Imported where it is needed: torch alone takes longer than a stack of crops.
        from atypia.inference.runtimes.torch import load_members
        from atypia.models.ensemble import Ensemble

        options = self.options
        return Ensemble(load_members(self.bundle, options.weights, options.members)).eval()

    @property
    def batch_size(self) -> int:
        """Figures in a batch, where `predict` or `stream` is asked for no other number."""
        return self.options.batch_size or (GPU_BATCH if self.runtime.on_gpu else CPU_BATCH)

    def predict(
        self,
        images: OneImage | Iterable[OneImage],
        mpp: float | None = None,
        batch_size: int | None = None,
    ) -> pd.DataFrame:
        """Classify images.

        Args:
            images: N of them, or one: files, images of Pillow, or arrays uint8 (H, W, 3) RGB, each
                with its figure at the centre.
            mpp: um/px of all of them, in 0.05..5. None takes the middle of what the bundle was
                trained at, and warns.
            batch_size: figures the network sees at once.

        Returns:
            The predictions table, one row an image, in order: `figure_id` (a file's path, or
            else the position), `image`, `p_atypical` in [0, 1], `call`, `refer`, `spread`, `phase`,
            `in_scope`, `scope_reason`.

        Raises:
            ImageError: the first image that cannot be used; `stream` goes on past it.
            AtypiaError: mpp or batch_size is out of range, or `images` holds something else.
        """
        require_mpp(mpp)
        if mpp is None:
            _log.warning(
                "warning: no mpp is given: %g um/px, as the bundle was trained at, is assumed",
                self.manifest.assumed_mpp,
            )
        frames = [empty_predictions()]
        for scored in self.stream(_list_figures(images, mpp), batch_size=batch_size):
            if scored.failures:
                raise ImageError(scored.failures[0].message)
            frames.append(scored.frame)
        return pd.concat(frames[1:], ignore_index=True) if len(frames) > 1 else frames[0]

    def stream(
        self, figures: Iterable[Figure], *, batch_size: int | None = None
    ) -> Iterator[BatchScores]:
        """Classify figures batch by batch, in order; only a few batches are in memory.

        Args:
            figures: taken from as they are needed.
            batch_size: figures the network sees at once.

        Raises:
            AtypiaError: batch_size is not above 0, or the device's memory is too small.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise OptionError("batch_size", size, "expected 1 or more")
        read = read_ahead(figures, self.crop_spec, threads=self.runtime.threads, ahead=2 * size)
        batches = iter(lambda: list(islice(read, size)), [])
        # Threads that each take whole batches never wait for one another inside a layer.
        with self.runtime.pool() as pool:
            # One batch more than a pool's threads, of which a runtime may have one more.
            yield from map_in_order(pool, self.score, batches, ahead=self.runtime.workers + 2)

    def score(self, batch: Sequence[ReadFigure]) -> BatchScores:
        """Classify figures that were read, in one batch, in the thread that asks for it."""
        begun = time.perf_counter()
        good = [read.figure for read in batch if not isinstance(read.crop, Failure)]
        failures = tuple(read.crop for read in batch if isinstance(read.crop, Failure))
        frame = empty_predictions()
        if good:
            crops = stack_crops([read.crop for read in batch if not isinstance(read.crop, Failure)])
            reasons = [read.scope_reason for read in batch if not isinstance(read.crop, Failure)]
            frame = self._make_table(good, self.runtime.infer(crops), reasons)
        reading_s = sum(read.seconds for read in batch)
        return BatchScores(frame, failures, reading_s, time.perf_counter() - begun)

    def _make_table(
        self, figures: Sequence[Figure], outputs: Outputs, reasons: Sequence[str]
    ) -> pd.DataFrame:
        """Make rows of B figures from the outputs of the members."""
        in_scope = np.array([reason == "" for reason in reasons])
        each = outputs.logits.astype(np.float64)
        p = self.calibration.probability(each.mean(axis=0))
        single = len(each) == 1
        spread = self.calibration.probability(each).std(axis=0)
        return pd.DataFrame(
            {
                "figure_id": [figure.figure_id for figure in figures],
                "image": [figure.image for figure in figures],
                "p_atypical": p,
                "call": np.where(self.calibration.call(p), CALLS[1], CALLS[0]),
                "refer": self.calibration.refer(p) | ~in_scope,
                "spread": np.full(len(p), np.nan) if single else spread,
                "phase": self._name_phases(outputs, len(p)),
                "in_scope": in_scope,
                "scope_reason": reasons,
            },
            columns=list(PREDICTION_COLUMNS),
        )

    def _name_phases(self, outputs: Outputs, count: int) -> list[str]:
        """Return the likeliest phase of each figure, "" where the bundle does not know phases."""
        if outputs.phase is None:
            return [""] * count
        return [self.manifest.phases[best] for best in outputs.phase.argmax(axis=1)]


def _list_figures(images: OneImage | Iterable[OneImage], mpp: float | None) -> Iterator[Figure]:
    """Give the figures of N images, or of one.

    Raises:
        AtypiaError: something is no image.
    """
    mpp_source: MppSource = "assumed" if mpp is None else "given"
    for position, image in enumerate(_list_images(images)):
        if isinstance(image, np.ndarray):
            yield Figure(str(position), "", mpp, mpp_source, partial(_require_rgb, image, position))
        elif isinstance(image, Image.Image):
            pixels = partial(image_pixels, image, f"image {position}")
            yield Figure(str(position), "", mpp, mpp_source, pixels)
        elif isinstance(image, str | os.PathLike):
            name = escape_text(os.fspath(image))
            yield Figure(name, name, mpp, mpp_source, partial(read_image, Path(image)))
        else:
            raise AtypiaError(f"image {position}: is of type {type(image).__name__}, {_EXPECTED}")


def _list_images(images: OneImage | Iterable[OneImage]) -> Iterable[OneImage]:
    """Return images as an iterable, also a single one.

    Raises:
        AtypiaError: these are no images.
    """
    if isinstance(images, str | os.PathLike | Image.Image):
        return [images]
    if isinstance(images, np.ndarray) and images.ndim != 4 and images.dtype.kind not in "OU":
        return [images]
    # A data frame gives the names of its columns, and a dictionary its keys.
    if isinstance(images, pd.DataFrame | Mapping | bytes) or not isinstance(images, Iterable):
        raise AtypiaError(f"images: is of type {type(images).__name__}, {_EXPECTED}")
    return images


def _require_rgb(image: npt.NDArray[np.uint8], position: int) -> RGBImage:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ImageError(
            f"image {position}: is an array of {image.dtype} {image.shape}, expected uint8 "
            "(H, W, 3), RGB; convert it"
        )
    return image


load = Predictor.load
