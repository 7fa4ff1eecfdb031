"""Windows: the part of a figure's image that any crop of it may need, at its own resolution.

They are cut out and decoded once; crops are taken from them (`crops.py`, `plain_crops.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atypia.data.images import read_image
from atypia.errors import ImageError, TableError
from atypia.files import write_whole
from atypia.fingerprint import hash_text

Pixels = npt.NDArray[np.uint8]

# An image may be this much smaller than the crop asked for; the rest is mirrored at its border.
# (A crop of 128 px at 0.23 um/px holds 29.4 um of the 32 um that 0.25 um/px would hold.)
SMALLEST_SHARE = 0.75


@dataclass(frozen=True)
class Windows:
    """Windows of N figures.

    Attributes:
        pixels: uint8 (N, S, S, 3) RGB; window n fills `pixels[n, :height, :width]`, and its last
            row and column are repeated to the right and below, so that sampling never meets black.
        size_px: int64 (N, 2), height and width of each window, in px.
        mpp: float64 (N,), um/px of each window.
    """

    pixels: Pixels
    size_px: npt.NDArray[np.int64]
    mpp: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.mpp)

    def batch(self, rows: npt.NDArray[np.int64]) -> Windows:
        """Return the windows of some figures, copied."""
        return Windows(np.ascontiguousarray(self.pixels[rows]), self.size_px[rows], self.mpp[rows])


def cut_window(image: Pixels, mpp: float, crop_um: float, window_um: float) -> Pixels:
    """Cut the central window out of an image, mirrored where the image ends.

    Args:
        image: uint8 (H, W, 3), the figure at its centre.
        mpp: um/px of the image.
        crop_um: side of the crop that will be taken, in um.
        window_um: side of the window, in um, at least `crop_um`.

    Returns:
        uint8 (h, w, 3); h and w have the parity of H and W, so that the centre stays the centre.

    Raises:
        ImageError: the image covers less than three quarters of the crop.
    """
    height, width = image.shape[:2]
    have_um = min(height, width) * mpp
    if have_um < SMALLEST_SHARE * crop_um:
        raise ImageError(
            f"is {width} x {height} px, {have_um:.1f} um at {mpp:g} um/px, but {crop_um:g} um are "
            "needed; give larger crops, or the right mpp"
        )
    sides = [_round_to_parity(window_um / mpp, side) for side in (height, width)]
    margins = [(target - side) // 2 for target, side in zip(sides, (height, width), strict=True)]
    cut = image[max(-margins[0], 0) :, max(-margins[1], 0) :][: sides[0], : sides[1]]
    pads = [(max(m, 0), max(m, 0)) for m in margins]
    # Reflection needs a margin smaller than the image; a window is at most a few times as wide.
    while any(pad[0] for pad in pads):
        step = [(min(p[0], s - 1),) * 2 for p, s in zip(pads, cut.shape[:2], strict=True)]
        cut = np.pad(cut, (*step, (0, 0)), mode="reflect")
        pads = [(p[0] - q[0],) * 2 for p, q in zip(pads, step, strict=True)]
    return np.ascontiguousarray(cut)


def stack_windows(cuts: Sequence[Pixels], mpp: npt.NDArray[np.float64]) -> Windows:
    """Stack windows of any sizes into one `Windows`.

    Args:
        cuts: N windows, uint8 (h, w, 3), as `cut_window` gives them.
        mpp: float64 (N,), um/px of each.
    """
    side = max(max(cut.shape[:2]) for cut in cuts)
    sizes = np.array([cut.shape[:2] for cut in cuts], dtype=np.int64)
    return Windows(np.stack([_fill_square(cut, side) for cut in cuts]), sizes, mpp)


def decode_windows(
    paths: Sequence[Path],
    mpp: npt.NDArray[np.float64],
    *,
    crop_um: float,
    window_um: float,
    cache: Path | None = None,
    content: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Windows:
    """Decode the windows of many figures, once.

    Args:
        paths: N image files.
        mpp: float64 (N,), um/px of each.
        crop_um: side of the crops that will be taken, in um.
        window_um: side of the windows, in um.
        cache: a folder; the decoded windows are kept there, found again by the content of the
            files, and stay on disk (memory-mapped) instead of in memory.
        content: with `cache`, the N hashes of the files' content.
        progress: called with (done, all) from time to time.

    Raises:
        TableError: figures without a known mpp, or images that cannot be used; all are named.
    """
    unknown = np.flatnonzero(~np.isfinite(mpp))
    if len(unknown):
        raise TableError(
            f"{len(unknown)} figures have no mpp (um/px), the first is {paths[unknown[0]]}; "
            "add the column mpp to the table or give --mpp"
        )
    side = max(_round_to_parity(window_um / float(mpp.min()), parity) for parity in (0, 1))
    cached = None if cache is None else cache / _cache_name(content, mpp, crop_um, window_um)
    if cached is not None and cached.is_file():
        pixels = np.load(cached, mmap_mode="r")
        sizes = np.load(cached.with_suffix(".sizes.npy"))
        return Windows(pixels, sizes, np.asarray(mpp, dtype=np.float64))

    pixels = np.zeros((len(paths), side, side, 3), dtype=np.uint8)
    sizes = np.zeros((len(paths), 2), dtype=np.int64)

    def decode(row: int) -> str | None:
        try:
            window = cut_window(read_image(paths[row]), float(mpp[row]), crop_um, window_um)
        except ImageError as fault:
            text = str(fault)
            return text if text.startswith(str(paths[row])) else f"{paths[row]}: {text}"
        sizes[row] = window.shape[:2]
        pixels[row] = _fill_square(window, side)
        return None

    faults: list[str] = []
    with ThreadPoolExecutor(max_workers=2) as pool:
        for done, fault in enumerate(pool.map(decode, range(len(paths))), start=1):
            if fault is not None:
                faults.append(fault)
            if progress is not None and (done % 100 == 0 or done == len(paths)):
                progress(done, len(paths))
    if faults:
        listed = "\n".join(faults[:20])
        more = f"\n... and {len(faults) - 20} more" if len(faults) > 20 else ""
        raise TableError(
            f"{len(faults)} of {len(paths)} images cannot be used; mend them or take their rows "
            f"out of the table:\n{listed}{more}"
        )
    windows = Windows(pixels, sizes, np.asarray(mpp, dtype=np.float64))
    if cached is not None:
        with write_whole(cached.with_suffix(".sizes.npy")) as partial, partial.open("wb") as file:
            np.save(file, sizes)
        with write_whole(cached) as partial, partial.open("wb") as file:
            np.save(file, pixels)
        return Windows(np.load(cached, mmap_mode="r"), sizes, windows.mpp)
    return windows


def _fill_square(window: Pixels, side: int) -> Pixels:
    """Repeat the last row and column until the window fills (side, side, 3)."""
    below, right = side - window.shape[0], side - window.shape[1]
    return np.pad(window, ((0, below), (0, right), (0, 0)), mode="edge")


def _round_to_parity(side: float, like: int) -> int:
    """Return the smallest whole number of px, at least `side`, that is even where `like` is."""
    whole = int(np.ceil(side - 1e-6))
    return whole + (whole - like) % 2


def _cache_name(
    content: Sequence[str], mpp: npt.NDArray[np.float64], crop_um: float, window_um: float
) -> str:
    """Name the cache file of these windows; the name changes with anything they depend on."""
    images = zip(content, mpp, strict=True)
    lines = "".join(f"{digest} {resolution}\n" for digest, resolution in images)
    return f"windows-{hash_text(f'windows 2 {crop_um} {window_um}{lines}')[:16]}.npy"
