"""The model card: how a bundle was made, its accuracy by domain, and its limits."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from atypia.bundle.manifest import BundleManifest
from atypia.evaluation.calibration import Calibration
from atypia.evaluation.markdown import markdown_table, plain_markdown
from atypia.models.backbones.registry import backbone_spec

_LIMITS = (
    "For research use only. It is not a medical device and not for diagnosis.",
    "It tells atypical from normal mitotic figures. It does not detect figures: any image is "
    "classified as if it showed one.",
    "For tissues, stains and scanners other than those below, accuracy can be lower and "
    "probabilities can be off; evaluate it on your own figures first.",
)


def model_card(
    manifest: BundleManifest,
    calibration: Calibration,
    *,
    data: str,
    licence: str,
    by_domain: pd.DataFrame | None,
    left_out: pd.DataFrame | None = None,
    further_limits: Sequence[str] = (),
) -> str:
    """Write the card of a bundle.

    Args:
        manifest: of the bundle.
        calibration: of the bundle.
        data: Markdown; the training figures: source, number, who labelled them.
        licence: of the bundle's own weights, and what the data's licence asks.
        by_domain: results on held-out figures of domains that the network was trained on, one row
            a domain, any columns. If it is None or empty, the card says so.
        left_out: the same, each domain evaluated by a training that left it out. If it is None,
            the card says so.
        further_limits: sentences added to those that hold for every bundle.

    Returns:
        Markdown.
    """
    spec = backbone_spec(manifest.backbone)
    members = len(manifest.members)
    low, high = manifest.training_mpp
    share = calibration.prevalence
    prevalence = "not recorded" if share is None else f"{100 * share:.3g} %"
    limits = "\n".join(f"- {line}" for line in (*_LIMITS, *further_limits))
    if by_domain is not None and len(by_domain):
        held_out = _table(by_domain)
    elif left_out is None:
        held_out = "It has not been evaluated on held-out figures: its accuracy is unknown."
    else:
        held_out = "Not measured: all held-out figures were of domains unseen in training (below)."
    unseen = (
        "Not measured: no domain was left out of this training."
        if left_out is None
        else "Each domain was scored by a network trained on the other domains only.\n\n"
        + _table(left_out)
    )
    return f"""# {plain_markdown(manifest.name)}

Tells atypical (1) from normal (0) mitotic figures in H&E.

## Limits

{limits}

## Model

- Backbone: {spec.key} ({spec.citation}), adapter: {manifest.adapter.kind}; \
{members} {"member" if members == 1 else "members, an ensemble"}
- Input: {manifest.crop_um:g} um of tissue around the figure, at {manifest.input_px} px; \
{"in one orientation" if manifest.views == 1 else f"{manifest.views} orientations, averaged"}
- Trained at {f"{low:g}" if low == high else f"{low:g} to {high:g}"} um/px
- P(atypical) = sigmoid(mean logit of the members / {calibration.temperature:.4g} \
{calibration.bias:+.4g}), fitted on {calibration.fitted_on}
- Called atypical above {calibration.operating_point:.4g}; referred to a person from \
{calibration.refer_low:.4g} to {calibration.refer_high:.4g}
- Refer band: {calibration.refer_rule}
- Prevalence of atypical figures for which P(atypical) is calibrated: {prevalence}

## Data

{data.strip()}

## Accuracy on held-out figures of known domains

{held_out}

## Accuracy in domains unseen in training

{unseen}

## Licence

{licence.strip()}

Backbone: {spec.display("licence")}.
"""


def _table(frame: pd.DataFrame) -> str:
    """Return a table in Markdown; numbers to three decimals, missing ones as a dash."""

    def cell(value: object) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "-"
        return f"{value:.3f}" if isinstance(value, float) else plain_markdown(str(value))

    rows = [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    return markdown_table([str(name) for name in frame.columns], rows)
