"""The report: one HTML file that needs no network and explains in plain words what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

from atypia.data.domains import shared_domain_parts
from atypia.data.table import FigureTable, explain_missing_slides, format_cases
from atypia.evaluation.gallery import Gallery, make_galleries, pick_hard_negatives
from atypia.evaluation.html import open_template
from atypia.evaluation.intervals import Interval
from atypia.evaluation.judge import Judgement
from atypia.evaluation.plots import (
    domain_plot,
    gamma_plot,
    refer_plot,
    reliability_plot,
    roc_plot,
    score_plot,
    svg_uri,
)
from atypia.evaluation.probe import DomainProbe
from atypia.evaluation.training_story import TrainingStory
from atypia.files import write_output

_DOMAIN_METRICS = (
    ("balanced_accuracy", "Balanced accuracy"),
    ("auroc", "AUROC"),
    ("sensitivity", "Sensitivity"),
    ("specificity", "Specificity"),
    ("ece", "ECE"),
    ("ba_lost", "BA below own optimum"),
)
_MEANINGS = (
    (
        "balanced_accuracy",
        "Balanced accuracy",
        "Mean of sensitivity and specificity. Chance level is 0.5, whatever the share of atypical "
        "figures.",
    ),
    ("sensitivity", "Sensitivity", "Share of the atypical figures that were called atypical."),
    ("specificity", "Specificity", "Share of the normal figures that were called normal."),
    (
        "auroc",
        "AUROC",
        "Probability that an atypical figure scores higher than a normal one. It does not depend "
        "on the operating point; chance level is 0.5.",
    ),
    (
        "average_precision",
        "Average precision",
        "Area under the precision-recall curve. Chance level is the share of atypical figures.",
    ),
    (
        "ece",
        "Calibration error (ECE)",
        "Mean distance between predicted probability and observed frequency, over 15 bins of "
        "equal width. 0 is best.",
    ),
    (
        "brier",
        "Brier score",
        "Mean squared difference between P(atypical) and the truth (0 or 1). 0 is best.",
    ),
)


@dataclass(frozen=True)
class _Plot:
    """A plot with its caption and its alternative text."""

    uri: str
    caption: str
    alt: str


@dataclass(frozen=True)
class _Training:
    """Content of the section on the training; empty where there is nothing to show."""

    probes: Mapping[str, DomainProbe]
    mean_probe: DomainProbe | None
    gamma: _Plot | None
    unknown_gammas: tuple[str, ...]
    hard_negatives: Gallery | None


def write_report(
    path: Path,
    judgement: Judgement,
    table: FigureTable,
    *,
    title: str,
    facts: Mapping[str, str],
    training: TrainingStory | None = None,
) -> None:
    """Write the report of a judgement as one HTML file without any link to the outside.

    All text of the user's (names, domains, notes, facts) is escaped.

    Args:
        path: the file to write, whole or not at all.
        judgement: result of `judge.judge`.
        table: where the images of the galleries lie; an unreadable one becomes a placeholder that
            names the fault.
        title: heading, and title of the window.
        facts: name -> value, shown at the top: the predictions, their source, the date.
        training: the story of the training, if these are its own predictions.

    Raises:
        AtypiaError: the file cannot be written.
    """
    html = render_report(judgement, table, title=title, facts=facts, training=training)
    write_output(path, html)


def render_report(
    judgement: Judgement,
    table: FigureTable,
    *,
    title: str,
    facts: Mapping[str, str],
    training: TrainingStory | None = None,
) -> str:
    """Return the HTML that `write_report` writes."""
    overall = judgement.overall
    figures = judgement.figures
    called = int(figures["call"].sum())
    hits = int((figures["call"] & (figures["truth"] == 1.0)).sum())
    return open_template("report.html.j2").render(
        title=title,
        facts=dict(facts),
        judgement=judgement,
        cases=format_cases(figures),
        missing_slides=explain_missing_slides(figures),
        confusion={
            "hits": hits,
            "missed": overall.atypical - hits,
            "false_alarms": called - hits,
            "spared": overall.figures - overall.atypical - (called - hits),
        },
        meanings=[
            (name, getattr(overall, key), _find_interval(judgement, key), meaning)
            for key, name, meaning in _MEANINGS
        ],
        domain_metrics=_DOMAIN_METRICS,
        short=judgement.short_names,
        shared=", ".join(shared_domain_parts(judgement.domain_names)),
        domain_rows=judgement.domains.frame.to_dict(orient="records"),
        summary=judgement.domains.summary.to_dict(orient="index"),
        experts=[] if judgement.experts is None else judgement.experts.to_dict(orient="records"),
        domain_bars=_make_plot(
            domain_plot(judgement),
            "Balanced accuracy of each domain (bar and dot) with its 95 % CI (line; bootstrap "
            "over cases). The vertical line is the overall value.",
            "Bars of balanced accuracy by domain; the values are in the table above.",
        ),
        curves=[
            picture
            for picture in (
                _make_plot(
                    roc_plot(judgement),
                    "Sensitivity and false alarms at every operating point: the nearer to the "
                    "upper left corner, the better. The number beside a name is its AUROC; the "
                    "ring marks the calls in the predictions table.",
                    "Receiver operating characteristic, overall and by domain.",
                ),
                _make_plot(
                    reliability_plot(judgement),
                    "Observed share of atypical figures at each predicted probability. On the "
                    "dotted line the probabilities are calibrated; below it they are too high. "
                    "Vertical lines are 95 % CIs; the lower panel shows the number of figures.",
                    "Observed share of atypical figures against predicted probability.",
                ),
                _make_plot(
                    score_plot(judgement),
                    "The probabilities of atypical (above) and normal figures (below). Right of "
                    "the vertical line a figure is called atypical; a grey zone there means that "
                    "each fold has its own operating point. Figures in the pale band were "
                    "referred.",
                    "Histograms of P(atypical) for atypical and for normal figures.",
                ),
                _make_plot(
                    refer_plot(judgement),
                    "Error rate among the figures that no person reviews, if the most uncertain "
                    "ones are referred. Black: all remaining calls. Colours: a case's atypical "
                    "and normal figures, averaged over cases, which the refer band keeps low. "
                    "Rings: the referrals in these predictions.",
                    "Error rates against the share of figures referred to a person.",
                ),
            )
            if picture is not None
        ],
        galleries=make_galleries(judgement, table),
        training=None if training is None else _describe_training(judgement, table, training),
    )


def _describe_training(
    judgement: Judgement, table: FigureTable, story: TrainingStory
) -> _Training | None:
    """Return the section on a training, or None if there is nothing to show."""
    hardest = pick_hard_negatives(judgement, table, story.hardness)
    if not (story.probes or story.gammas or story.unknown_gammas or hardest):
        return None
    gamma = _make_plot(
        gamma_plot(story.gammas) if story.gammas else None,
        "Gamma of the focal loss in each confidence bin, following the calibration on cases held "
        "back from training. Above 0 the loss gives less weight to figures that the network gets "
        "nearly right, because the held-back cases showed over-confidence; below 0 it gives them "
        "more. Thick lines are means over folds, thin lines the folds.",
        "Gamma of each confidence bin over epochs.",
    )
    return _Training(story.probes, story.mean_probe, gamma, story.unknown_gammas, hardest)


def _make_plot(figure: Figure | None, caption: str, alt: str) -> _Plot | None:
    return None if figure is None else _Plot(svg_uri(figure), caption, alt)


def _find_interval(judgement: Judgement, key: str) -> Interval | None:
    if key == "balanced_accuracy":
        return judgement.balanced_accuracy_interval
    return judgement.auroc_interval if key == "auroc" else None
