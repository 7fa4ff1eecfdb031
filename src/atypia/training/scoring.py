"""What a network says of figures while it is trained, without any augmentation."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric

from atypia.data.windows import Windows
from atypia.models.classifier import Classifier, Output
from atypia.training.batches import Embeddings, plain_batch
from atypia.training.recipe import Recipe

# As large as a usual step, so that scoring needs no more memory than training.
SCORE_BATCH = 64


@torch.no_grad()
def look_at(
    network: Classifier,
    shown: Windows | Embeddings,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    fabric: Fabric,
    *,
    exact: bool,
) -> Output:
    """Return what a network says of some figures, on the CPU; it is left in evaluation mode.

    Processes that train together each look at a share, and all get the whole.

    Args:
        network: to ask.
        shown: windows or embeddings of all figures.
        rows: int64 (R,), at least one.
        recipe: for the size of the crops, and the views of them.
        fabric: device and precision.
        exact: in float32 and in all views, for scores that are kept; else in the precision of
            training and as the crops lie. A frozen backbone that is held in bf16 has the latter
            precision alone.
    """
    network.eval()
    network.views = recipe.backbone.tta_views if exact else 1
    exact = exact and all(weight.dtype == torch.float32 for weight in network.parameters())
    world = fabric.world_size
    own = np.resize(rows, world * -(-len(rows) // world))[fabric.global_rank :: world]
    outputs: list[Output] = []
    for start in range(0, len(own), SCORE_BATCH):
        batch = plain_batch(shown, own[start : start + SCORE_BATCH], recipe, fabric.device)
        with nullcontext() if exact else fabric.autocast():
            outputs.append(network(batch))

    def whole(parts: list[torch.Tensor]) -> torch.Tensor:
        shares = torch.cat(parts)
        if world > 1:
            every = [torch.empty_like(shares) for _ in range(world)]
            torch.distributed.all_gather(every, shares)
            shares = torch.stack(every, dim=1).flatten(0, 1)[: len(rows)]
        return shares.cpu()

    phases = [one.phase for one in outputs if one.phase is not None]
    return Output(
        whole([one.logit for one in outputs]),
        whole([one.embedding for one in outputs]),
        whole(phases) if phases else None,
    )
