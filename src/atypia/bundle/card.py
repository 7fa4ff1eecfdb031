"""The model card: what a bundle was made from, how well it does and where, what it is not for."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from atypia.bundle.manifest import BundleManifest
from atypia.evaluation.calibration import Calibration
from atypia.evaluation.markdown import markdown_table, plain_markdown
from atypia.models.backbones.registry import backbone_spec

_LIMITS = (
    "For research. It is no medical device and no basis for a diagnosis.",
    "It tells atypical from normal mitotic figures. It does not find figures, and it classifies "
    "whatever image it is given as if it were one.",
    "Other tissues, stains and scanners than those below can lower its accuracy and shift its "
    "probabilities; judge it on your own figures first.",
)


def model_card(
    manifest: BundleManifest,
    calibration: Calibration,
    *,
    data: str,
    licence: str,
    by_domain: pd.DataFrame,
    left_out: pd.DataFrame | None = None,
    further_limits: Sequence[str] = (),
) -> str:
    """Write the card of a bundle.

    Args:
        manifest: of the bundle.
        calibration: of the bundle.
        data: Markdown; the figures it was trained on: which, how many, labelled by whom.
        licence: of the bundle's own weights, and what the data's licence asks.
        by_domain: one row a domain, any columns; how well it does on held-out figures. May be
            empty, which the card then says.
        left_out: the same, each domain judged by a training that had not seen it; none where that
            was not done, which the card then says.
        further_limits: sentences, beside those that hold for every bundle.

    Returns:
        Markdown.
    """
    spec = backbone_spec(manifest.backbone)
    members = len(manifest.members)
    low, high = manifest.training_mpp
    share = calibration.prevalence
    prevalence = "not recorded" if share is None else f"{100 * share:.3g} %"
    limits = "\n".join(f"- {line}" for line in (*_LIMITS, *further_limits))
    judged = (
        _table(by_domain)
        if len(by_domain)
        else "It has not been evaluated on held-out figures: its accuracy is unknown."
    )
    elsewhere = (
        "Not measured: no domain was left out of this training."
        if left_out is None
        else "Each domain was scored by a network trained on the other domains only.\n\n"
        + _table(left_out)
    )
    return f"""# {plain_markdown(manifest.name)}

Tells atypical (1) from normal (0) mitotic figures in H&E.

## Limits

{limits}

## What it is

- Backbone: {spec.key} ({spec.citation}), adapter: {manifest.adapter.kind}; \
{members} {"member" if members == 1 else "members, an ensemble"}
- Sees {manifest.crop_um:g} um of tissue around the figure, in {manifest.input_px} px; \
{"in one orientation" if manifest.views == 1 else f"{manifest.views} orientations, averaged"}
- Trained at {f"{low:g}" if low == high else f"{low:g} to {high:g}"} um/px
- P(atypical) = sigmoid(mean logit of the members / {calibration.temperature:.4g} \
{calibration.bias:+.4g}), fitted on {calibration.fitted_on}
- Called atypical above {calibration.operating_point:.4g}; referred to a person from \
{calibration.refer_low:.4g} to {calibration.refer_high:.4g}
- Refer band: {calibration.refer_rule}
- Share of atypical figures that P(atypical) holds for: {prevalence}

## Data

{data.strip()}

## Accuracy on held-out figures, by domain

{judged}

## Accuracy in domains that training had not seen

{elsewhere}

## Licence

{licence.strip()}

Backbone: {spec.display("licence")}.
"""


def _table(frame: pd.DataFrame) -> str:
    """Return a table in Markdown; numbers to three decimals, absent ones as a dash."""

    def cell(value: object) -> str:
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return "-"
        return f"{value:.3f}" if isinstance(value, float) else plain_markdown(str(value))

    rows = [[cell(value) for value in row] for row in frame.itertuples(index=False)]
    return markdown_table([str(name) for name in frame.columns], rows)
