"""What batches are made from: windows of the figures, or embeddings where the backbone is frozen.

With `adapter.kind = "linear"` only the heads are trained, so the backbone embeds each figure once,
from the crop that prediction would take, and the heads are trained on these embeddings. They are
stored for later trainings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialized

from atypia.data.table import FigureTable
from atypia.files import parse_json, write_whole
from atypia.fingerprint import hash_parts, hash_text
from atypia.models.adapters import hold_in_bfloat16
from atypia.models.backbones.registry import backbone_spec
from atypia.models.classifier import build_classifier
from atypia.progress import OnProgress
from atypia.training.backbone_weights import BackboneWeights
from atypia.training.batches import BatchSource, Embeddings, plain_crops, read_windows
from atypia.training.devices import read_precision
from atypia.training.recipe import Precision, Recipe
from atypia.training.scoring import SCORE_BATCH

# A stop loses the work of this many seconds at most.
_SAVE_SECONDS = 30.0

EmbeddingTable = dict[str, npt.NDArray[np.float32]]


def read_batch_source(
    table: FigureTable,
    recipe: Recipe,
    content: Sequence[str],
    windows_in: Path,
    embeddings_in: Path,
    fabric: Fabric,
    on_progress: OnProgress,
    weights: BackboneWeights,
) -> BatchSource:
    """Read the windows of figures; with a frozen backbone, embed them and return the embeddings.

    Args:
        table: N figures.
        recipe: of the training.
        content: SHA-256 of each figure's image.
        windows_in: folder that stores decoded windows.
        embeddings_in: folder that stores embeddings, by all that decides them (the backbone and the
            hash of its weights, pooling, crop, size, normalisation, precision), and each by the
            hash of its image and its mpp. Those of earlier trainings are used again.
        fabric: device and precision.
        on_progress: called from time to time.
        weights: the backbone's published ones.

    Raises:
        TableError: figures without a known mpp, or images that cannot be used; all are named.
    """
    windows = read_windows(
        table,
        recipe,
        windows_in,
        content,
        lambda done, of: on_progress("reading crops", done, of, ""),
    )
    if recipe.adapter.trains_backbone:
        return windows
    keys = [
        f"{digest} {mpp!r}"
        for digest, mpp in zip(content, table.frame["mpp"].tolist(), strict=True)
    ]
    folder = embeddings_in / _settings_hash(recipe, weights.sha256, read_precision(fabric))
    stored = _read(folder)
    missing = np.array([row for row, key in enumerate(keys) if key not in stored], dtype=np.int64)
    if len(missing):
        torch.manual_seed(recipe.seed)  # decides the weights of a backbone that is not pretrained
        classifier = build_classifier(
            recipe.backbone.key,
            recipe.adapter,
            pretrained=recipe.backbone.pretrained,
            input_px=recipe.backbone.input_px,
            weights=weights.file,
        )
        if read_precision(fabric) == "bf16-mixed":
            hold_in_bfloat16(classifier.backbone)
        classifier = classifier.to(fabric.device).to(memory_format=torch.channels_last).eval()
        fresh: EmbeddingTable = {}
        saved_at = time.monotonic()
        for start in range(0, len(missing), SCORE_BATCH):
            rows = missing[start : start + SCORE_BATCH]
            crops = plain_crops(windows.batch(rows), recipe, fabric.device)
            with torch.inference_mode(), fabric.autocast():
                values = classifier.embed(crops.contiguous(memory_format=torch.channels_last))
            fresh |= zip((keys[row] for row in rows), values.cpu().numpy(), strict=True)
            done = start + len(rows)
            if done == len(missing) or time.monotonic() - saved_at > _SAVE_SECONDS:
                _add(folder, fresh)
                stored |= fresh
                fresh, saved_at = {}, time.monotonic()
            on_progress("embedding", len(keys) - len(missing) + done, len(keys), "")
    return Embeddings(np.stack([stored[key] for key in keys]))


def _settings_hash(recipe: Recipe, weights_sha256: str, precision: Precision) -> str:
    spec = backbone_spec(recipe.backbone.key)
    settings = [
        *(spec.key, weights_sha256, spec.pooling, spec.mean, spec.std),
        *(recipe.backbone.crop_um, recipe.backbone.input_px, precision),
        "pretrained" if recipe.backbone.pretrained else recipe.seed,
    ]
    return hash_text(json.dumps(settings))[:16]


def _read(folder: Path) -> EmbeddingTable:
    """Read all embeddings of a folder; an unreadable file is skipped and computed again."""
    table: EmbeddingTable = {}
    for path in sorted(folder.glob("*.safetensors")):
        try:
            with safe_open(path, framework="np") as file:
                keys = parse_json(file.metadata()["figures"])
                table |= zip(keys, file.get_tensor("embedding"), strict=True)
        except (SafetensorError, OSError, KeyError, TypeError, ValueError):
            continue
    return table


def _add(folder: Path, table: EmbeddingTable) -> None:
    """Write embeddings to a new file, named by the hash of its content."""
    folder.mkdir(parents=True, exist_ok=True)
    name = hash_parts(table)[:16]
    values = torch.from_numpy(np.stack(list(table.values())))
    with write_whole(folder / f"{name}.safetensors") as partial:
        partial.write_bytes(
            serialized({"embedding": values}, metadata={"figures": json.dumps(list(table))})
        )
