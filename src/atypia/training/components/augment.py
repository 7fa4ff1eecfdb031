"""Augmentation: geometry in one resampling, stain in optical density, blur, compression.

Every draw comes from the generator passed in, on the CPU, so that a training is repeatable on any
device.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from atypia.training.section import Section, Share

# Optical densities of haematoxylin, eosin and their residual (Ruifrok and Johnston 2001, table 2;
# the residual is the cross product), as unit vectors over red, green, blue.
_HAEMATOXYLIN = (0.650, 0.704, 0.286)
_EOSIN = (0.072, 0.990, 0.105)


class AugmentSection(Section):
    """Augmentation of geometry, stain, focus and compression."""

    rotate: bool = Field(True, description="rotate by any angle; off: by multiples of 90 degrees")
    scale: float = Field(0.15, ge=0, le=0.5, description="scale by up to this share")
    shift_um: float = Field(0.8, ge=0, le=10, description="shift the centre by up to this, um")
    stain: float = Field(
        0.2, ge=0, le=1, description="change haematoxylin and eosin strength by up to this share"
    )
    brightness: float = Field(
        0.1, ge=0, le=0.5, description="change brightness by up to this share"
    )
    blur: Share = Field(0.1, description="share of the crops to blur")
    jpeg: Share = Field(0.1, description="share of the crops to recompress as JPEG")


def compute_augmented_window_um(augment: AugmentSection, crop_um: float) -> float:
    """Return the side of the tissue, in um, that any augmented crop stays within."""
    return math.sqrt(2) * crop_um * (1 + augment.scale) + 2 * augment.shift_um


def draw_moves(
    augment: AugmentSection, crop_um: float, count: int, rng: np.random.Generator
) -> torch.Tensor:
    """Draw the rotation, mirroring, scale and shift of each crop.

    Args:
        augment: the recipe's section.
        crop_um: side of a crop, in um.
        count: crops, B.
        rng: of the draws.

    Returns:
        float32 (B, 2, 3), the maps from crop to window coordinates that `crop_windows` takes.
    """
    turns = rng.uniform(0, 4, count)
    angle = (turns if augment.rotate else np.floor(turns)) * (math.pi / 2)
    mirror = rng.choice([-1.0, 1.0], count)
    # Symmetric in the logarithm: half as often smaller as larger would drift the mean size.
    size = np.exp(rng.uniform(-1, 1, count) * math.log1p(augment.scale))
    shift = rng.uniform(-1, 1, (count, 2)) * (augment.shift_um / (crop_um / 2))
    moves = np.empty((count, 2, 3), dtype=np.float32)
    moves[:, 0, 0], moves[:, 0, 1] = size * np.cos(angle) * mirror, -size * np.sin(angle)
    moves[:, 1, 0], moves[:, 1, 1] = size * np.sin(angle) * mirror, size * np.cos(angle)
    moves[:, :, 2] = shift
    return torch.from_numpy(moves)


def recompress(
    pixels: npt.NDArray[np.uint8], share: float, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Compress a share of windows as JPEG, quality 40 to 90, and decode them again.

    Args:
        pixels: uint8 (B, S, S, 3); changed in place.
        share: of the windows, in [0, 1].
        rng: of the draws.
    """
    from torchvision.transforms.v2 import functional as transforms  # takes a second to import

    rows = np.flatnonzero(rng.random(len(pixels)) < share)
    for row, quality in zip(rows, rng.integers(40, 91, len(rows)), strict=True):
        image = torch.from_numpy(pixels[row]).permute(2, 0, 1).contiguous()
        pixels[row] = transforms.jpeg(image, int(quality)).permute(1, 2, 0).numpy()
    return pixels


def jitter_stain(
    crops: torch.Tensor, stain: float, brightness: float, rng: np.random.Generator
) -> torch.Tensor:
    """Change the strength and the colour of both stains, and the brightness, in optical density.

    After Tellez et al. 2018 (Whole-slide mitosis detection, sec. III-B): the image is unmixed into
    stains, each stain's density is scaled, and the image is mixed again, here with stain vectors
    that are turned a little. One 3 x 3 matrix a crop does all of it.

    Args:
        crops: float32 (B, 3, P, P), RGB in [0, 1].
        stain: strengths change by up to this share; vectors by a tenth of it.
        brightness: each channel changes by up to this share.
        rng: of the draws.

    Returns:
        float32 (B, 3, P, P), RGB in [0, 1].
    """
    if stain == 0 and brightness == 0:
        return crops
    count = len(crops)
    stains = np.array([_HAEMATOXYLIN, _EOSIN, np.cross(_HAEMATOXYLIN, _EOSIN)])
    stains /= np.linalg.norm(stains, axis=1, keepdims=True)
    strength = 1 + rng.uniform(-stain, stain, (count, 3, 1))
    turned = stains + rng.uniform(-1, 1, (count, 3, 3)) * (stain / 10)
    mixing = np.linalg.inv(stains) @ (strength * turned)
    common = rng.uniform(-1, 1, (count, 1)) * brightness
    light = common + rng.uniform(-1, 1, (count, 3)) * (brightness / 3)

    density = -torch.log(crops.clamp(1 / 255, 1)).flatten(2)
    matrix = torch.from_numpy(mixing.transpose(0, 2, 1).astype(np.float32)).to(crops.device)
    offset = torch.from_numpy(light.astype(np.float32)).to(crops.device).unsqueeze(-1)
    mixed = torch.baddbmm(offset, matrix, density)
    return torch.exp(-mixed.clamp_min(0)).view_as(crops)


def blur(
    crops: torch.Tensor, share: float, rng: np.random.Generator, finer: float = 1.0
) -> torch.Tensor:
    """Blur a share of the crops by a Gaussian, as a scanner slightly out of focus does.

    Args:
        crops: float32 (B, 3, P, P), changed in place.
        share: of the crops, in [0, 1].
        rng: of the draws; the width, 0.5 to 2 px, is drawn once a batch.
        finer: by how much these pixels are finer than those that the width is of.
    """
    from torchvision.transforms.v2 import functional as transforms  # takes a second to import

    rows = np.flatnonzero(rng.random(len(crops)) < share)
    sigma = float(rng.uniform(0.5, 2.0))
    if len(rows):
        chosen = torch.from_numpy(rows).to(crops.device)
        side = 2 * max(1, round(4 * finer)) + 1
        width = sigma * finer
        crops[chosen] = transforms.gaussian_blur(crops[chosen], [side, side], [width, width])
    return crops
