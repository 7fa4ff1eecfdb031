"""The predictor: figures in, rows of the predictions table out, in order, memory flat.

The members' logits are averaged, and the average is calibrated: P = calibration(mean logit), as
the calibration was fitted. `spread` is the standard deviation over members of each member's own
calibrated P (population form); with one member there is none, and it stays empty.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from atypia.bundle.default import default_bundle
from atypia.data.images import image_pixels, read_image
from atypia.data.predictions import CALLS, PREDICTION_COLUMNS, empty_predictions
from atypia.errors import AtypiaError, ImageError
from atypia.inference.answers import Answers, Device, Precision, RuntimeKey
from atypia.inference.opening import Opened, network_threads, open_bundle
from atypia.inference.reading import CropSpec, Failure, ReadFigure, in_order, read_ahead, stacked
from atypia.inference.sources import Figure, MppSource, RGBImage, require_mpp

# Measured: larger batches leave the CPU's cache and cost memory, smaller ones leave a GPU idle.
CPU_BATCH = 24
GPU_BATCH = 256

OneImage = Path | str | Image.Image | npt.NDArray[np.uint8]
_EXPECTED = (
    "expected files (str or Path), arrays uint8 (H, W, 3) or images of Pillow; give one or a list"
)


@dataclass(frozen=True)
class Scored:
    """What came of one batch.

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
        manifest: of the bundle.
        calibration: of the bundle, moved to another prevalence where one was asked for.
        sha256: identifies the bundle.
        network: its members, in the runtime that computes them.
        threads: CPU threads for reading, and on a CPU for the network.
    """

    def __init__(self, opened: Opened) -> None:
        self.manifest = opened.manifest
        self.calibration = opened.calibration
        self.sha256 = opened.sha256
        self.network = opened.network
        self.threads = opened.threads
        self._spec = CropSpec.of(opened.manifest)

    @classmethod
    def load(
        cls,
        folder: Path | str | None = None,
        *,
        device: Device = "auto",
        precision: Literal["auto"] | Precision = "auto",
        threads: int | None = None,
        members: int | None = None,
        weights: Path | str | None = None,
        prevalence: float | None = None,
        runtime: RuntimeKey = "auto",
        warn: Callable[[str], object] = warnings.warn,
    ) -> Predictor:
        """Load a bundle for prediction; every file of it is compared with its hash.

        Args:
            folder: of the bundle; none takes the one that comes with atypia.
            device: `auto` takes a GPU where torch can use one.
            precision: `auto` takes bf16 where runtime and device compute it faster than fp32.
            threads: CPU threads; none takes as many as torch would (OMP_NUM_THREADS is obeyed).
            members: use the first so many networks of an ensemble, which is faster; none takes
                all of them.
            weights: file or folder of the backbone's weights, where the bundle holds an adapter
                to it; none takes them from the package or the local Hugging Face cache.
            prevalence: share of atypical figures among those to be classified, in (0, 1), for
                which P(atypical) shall hold; calls and referrals stay the same (see
                `Calibration.at_prevalence`). None takes the share in training.
            runtime: what computes the network; `auto` takes the fastest that is installed, and
                torch where the bundle has not been exported (`atypia bundle export`) or a GPU is
                here.
            warn: is given a line where `auto` finds an exported file that it cannot use.

        Raises:
            BundleError: the bundle is incomplete, changed or not understood, or was trained on
                other weights of the backbone.
            AtypiaError: there is no such device or runtime, the backbone's weights are not here,
                `threads`, `members` or `prevalence` is out of range, or the bundle does not know
                the share of atypical figures in its training.
        """
        opened = open_bundle(
            default_bundle() if folder is None else Path(folder),
            runtime=runtime,
            device=device,
            precision=precision,
            threads=threads,
            members=members,
            weights=None if weights is None else Path(weights),
            warn=warn,
        )
        if prevalence is not None:
            opened = replace(opened, calibration=opened.calibration.at_prevalence(prevalence))
        return cls(opened)

    @property
    def batch_size(self) -> int:
        """Figures in a batch, where nothing else is asked for."""
        return GPU_BATCH if self.network.on_gpu else CPU_BATCH

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
            else the position), `image`, `p_atypical` in [0, 1], `call`, `refer`, `spread`, `phase`.

        Raises:
            ImageError: the first image that cannot be used; `stream` goes on past it.
            AtypiaError: mpp or batch_size is out of range, or `images` holds something else.
        """
        require_mpp(mpp)
        if mpp is None:
            warnings.warn(
                f"no mpp is given: {self.manifest.assumed_mpp:g} um/px, as the bundle was trained "
                "at, is assumed",
                stacklevel=2,
            )
        frames = [empty_predictions()]
        for scored in self.stream(_figures_of(images, mpp), batch_size=batch_size):
            if scored.failures:
                raise ImageError(scored.failures[0].message)
            frames.append(scored.frame)
        return pd.concat(frames[1:], ignore_index=True) if len(frames) > 1 else frames[0]

    def stream(
        self, figures: Iterable[Figure], *, batch_size: int | None = None
    ) -> Iterator[Scored]:
        """Classify figures batch by batch, in order; only a few batches are in memory.

        Args:
            figures: taken from as they are needed.
            batch_size: figures the network sees at once.

        Raises:
            AtypiaError: batch_size is not above 0, or the device's memory is too small.
        """
        size = self.batch_size if batch_size is None else batch_size
        if size < 1:
            raise AtypiaError(f"batch size {size}: expected 1 or more")
        read = read_ahead(figures, self._spec, threads=self.threads, ahead=2 * size)
        batches = iter(lambda: list(islice(read, size)), [])
        workers = network_threads(self.threads, self.network.on_gpu)
        # Threads that each take whole batches never wait for one another inside a layer.
        with self.network.pool(workers) as pool:
            # One batch more than a pool's threads, of which a runtime may have one more.
            yield from in_order(pool, self._score, batches, ahead=workers + 2)

    def _score(self, batch: Sequence[ReadFigure]) -> Scored:
        begun = time.perf_counter()
        good = [one.figure for one in batch if not isinstance(one.crop, Failure)]
        failures = tuple(one.crop for one in batch if isinstance(one.crop, Failure))
        frame = empty_predictions()
        if good:
            crops = stacked([one.crop for one in batch if not isinstance(one.crop, Failure)])
            frame = self._table(good, self.network.look_at(crops))
        reading_s = sum(one.seconds for one in batch)
        return Scored(frame, failures, reading_s, time.perf_counter() - begun)

    def _table(self, figures: Sequence[Figure], answers: Answers) -> pd.DataFrame:
        """Make rows of B figures and what the members say of them."""
        each = answers.logits.astype(np.float64)
        p = self.calibration.probability(each.mean(axis=0))
        single = len(each) == 1
        spread = self.calibration.probability(each).std(axis=0)
        return pd.DataFrame(
            {
                "figure_id": [figure.figure_id for figure in figures],
                "image": [figure.image for figure in figures],
                "p_atypical": p,
                "call": np.where(self.calibration.call(p), CALLS[1], CALLS[0]),
                "refer": self.calibration.refer(p),
                "spread": np.full(len(p), np.nan) if single else spread,
                "phase": self._phases(answers, len(p)),
            },
            columns=list(PREDICTION_COLUMNS),
        )

    def _phases(self, answers: Answers, count: int) -> list[str]:
        """Return the likeliest phase of each figure, "" where the bundle does not know phases."""
        if answers.phase is None:
            return [""] * count
        return [self.manifest.phases[best] for best in answers.phase.argmax(axis=1)]


def _figures_of(images: OneImage | Iterable[OneImage], mpp: float | None) -> Iterator[Figure]:
    """Give the figures of N images, or of one.

    Raises:
        AtypiaError: something is no image.
    """
    said: MppSource = "assumed" if mpp is None else "given"
    for position, image in enumerate(_several(images)):
        if isinstance(image, np.ndarray):
            yield Figure(str(position), "", mpp, said, partial(_checked, image, position))
        elif isinstance(image, Image.Image):
            pixels = partial(image_pixels, image, f"image {position}")
            yield Figure(str(position), "", mpp, said, pixels)
        elif isinstance(image, str | os.PathLike):
            name = os.fspath(image)
            yield Figure(name, name, mpp, said, partial(read_image, Path(name)))
        else:
            raise AtypiaError(f"image {position}: is of type {type(image).__name__}, {_EXPECTED}")


def _several(images: OneImage | Iterable[OneImage]) -> Iterable[OneImage]:
    """Return images as a row of them, also where there is but one.

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


def _checked(image: npt.NDArray[np.uint8], position: int) -> RGBImage:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ImageError(
            f"image {position}: is an array of {image.dtype} {image.shape}, expected uint8 "
            "(H, W, 3), RGB; convert it"
        )
    return image


load = Predictor.load
