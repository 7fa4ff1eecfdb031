"""Inference during training: no augmentation, the crops of prediction."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from atypia.models.classifier import Classifier, Output
from atypia.training.batches import BatchSource, plain_batch
from atypia.training.recipe import Recipe

# As large as a usual step, so that scoring needs no more memory than training.
SCORE_BATCH = 64


@torch.no_grad()
def infer(
    network: Classifier,
    source: BatchSource,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    fabric: Fabric,
    *,
    exact: bool,
) -> Output:
    """Return the outputs of a network for some figures, on the CPU; it stays in evaluation mode.

    Processes that train together each compute a share, and all get the whole.

    Args:
        network: the classifier.
        source: windows or embeddings of all figures.
        rows: int64 (R,), at least one.
        recipe: for the size of the crops, and the views of them.
        fabric: device and precision.
        exact: in float32 and in all views, for final scores; else in the precision of training and
            one view. A frozen backbone that is held in bf16 always computes in bf16.
    """
    network.eval()
    network.views = recipe.backbone.tta_views if exact else 1
    exact = exact and all(weight.dtype == torch.float32 for weight in network.parameters())
    world = fabric.world_size
    own = np.resize(rows, world * -(-len(rows) // world))[fabric.global_rank :: world]
    outputs: list[Output] = []
    for start in range(0, len(own), SCORE_BATCH):
        batch = plain_batch(source, own[start : start + SCORE_BATCH], recipe, fabric.device)
        with nullcontext() if exact else fabric.autocast():
            outputs.append(network(batch))

    def gather(parts: list[torch.Tensor]) -> torch.Tensor:
        shares = torch.cat(parts)
        if world > 1:
            every = fabric.all_gather(shares)
            assert isinstance(every, torch.Tensor)
            shares = every.transpose(0, 1).flatten(0, 1)[: len(rows)]
        return shares.cpu()

    phases = [output.phase for output in outputs if output.phase is not None]
    return Output(
        gather([output.logit for output in outputs]),
        gather([output.embedding for output in outputs]),
        gather(phases) if phases else None,
    )
