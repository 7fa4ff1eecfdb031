"""The pictures of a report, as matplotlib figures; safe for readers who do not tell red from green.

Colours are of Okabe and Ito's set; domains also differ in line style. pyplot is not used: no window
is opened and no figure is left in memory.
"""

from __future__ import annotations

import base64
import io
import textwrap
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logit
from scipy.stats import beta
from sklearn.metrics import roc_curve

from atypia.data.domains import short_domain_names
from atypia.evaluation.judge import Judgement, implied_operating_point
from atypia.evaluation.metrics import ECE_BINS

FloatArray = npt.NDArray[np.float64]

NORMAL, ATYPICAL, INK, QUIET = "#0072B2", "#D55E00", "#1f2933", "#8a94a0"
_DOMAIN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7a6a00")
_DOMAIN_STYLES = ("-", "--", ":", "-.")
# To be set while a picture is drawn, and while it is saved.
STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a domain's name may hold a dollar sign
    "font.size": 10.5,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "atypia",
}


def svg_bytes(figure: Figure) -> bytes:
    """Return a figure as an SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def svg_uri(figure: Figure) -> str:
    """Return a figure as the data URI of an SVG, the same bytes for the same figure."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg_bytes(figure)).decode("ascii")


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty picture with one pair of axes, sides in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
    return figure, axes


def _clipped(name: str, width: int = 46) -> str:
    return textwrap.shorten(name, width, placeholder=" ...")


def _scores(frame: pd.DataFrame) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
    return (
        frame["truth"].to_numpy(dtype=np.float64),
        frame["p_atypical"].to_numpy(dtype=np.float64),
        frame["call"].to_numpy(dtype=bool),
    )


def roc_plot(judgement: Judgement) -> Figure | None:
    """Return the receiver operating characteristics, overall and by domain; None with one class."""
    if judgement.overall.auroc is None:
        return None
    rows = judgement.domains.frame.dropna(subset=["auroc"])
    several = len(judgement.domains.frame) > 1
    short = short_domain_names(list(judgement.domains.frame["domain"]))
    with matplotlib.rc_context(STYLE):
        height = 4.6 + (0.19 * (len(rows) + 1) if several else 0.2)
        figure, axes = canvas(5.2, height)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        if several:
            for index, (name, auroc) in enumerate(zip(rows["domain"], rows["auroc"], strict=True)):
                here = judgement.figures[judgement.figures["domain"] == name]
                truth, p, _ = _scores(here)
                false_alarms, hits, _ = roc_curve(truth, p)
                axes.plot(
                    false_alarms,
                    hits,
                    color=_DOMAIN_COLOURS[index % len(_DOMAIN_COLOURS)],
                    linestyle=_DOMAIN_STYLES[index // len(_DOMAIN_COLOURS) % len(_DOMAIN_STYLES)],
                    linewidth=1.2,
                    label=f"{_clipped(short[name])}  {auroc:.3f}",
                )
        truth, p, _ = _scores(judgement.figures)
        false_alarms, hits, _ = roc_curve(truth, p)
        axes.plot(
            false_alarms,
            hits,
            color=INK,
            linewidth=2.2,
            label=f"all figures  {judgement.overall.auroc:.3f}",
        )
        sensitivity, specificity = judgement.overall.sensitivity, judgement.overall.specificity
        if sensitivity is not None and specificity is not None:
            axes.plot(
                [1 - specificity],
                [sensitivity],
                marker="o",
                markersize=8,
                color=INK,
                markerfacecolor="white",
                linestyle="none",
                label="the calls as made",
            )
        axes.set(
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
            xlabel="normal figures called atypical",
            ylabel="atypical figures called atypical",
        )
        figure.legend(loc="outside lower center", fontsize=9, ncols=1, alignment="left")
    return figure


def reliability_plot(judgement: Judgement) -> Figure:
    """Return observed shares against predicted probabilities, with the counts below.

    The bins are those of the ECE; the bars are 95 % intervals (Clopper and Pearson 1934).
    """
    truth, p, _ = _scores(judgement.figures)
    which = np.minimum((p * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    count = np.bincount(which, minlength=ECE_BINS)
    hits = np.bincount(which, weights=truth, minlength=ECE_BINS)
    filled = count > 0
    mean_p = np.bincount(which, weights=p, minlength=ECE_BINS)[filled] / count[filled]
    share = hits[filled] / count[filled]
    low = np.nan_to_num(beta.ppf(0.025, hits[filled], (count - hits)[filled] + 1), nan=0.0)
    high = np.nan_to_num(beta.ppf(0.975, hits[filled] + 1, (count - hits)[filled]), nan=1.0)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 5.2), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
        above.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        above.errorbar(
            mean_p,
            share,
            yerr=np.clip([share - low, high - share], 0, None),
            color=INK,
            ecolor=QUIET,
            elinewidth=1,
            marker="o",
            markersize=5,
            linewidth=1.4,
        )
        above.set(ylim=(-0.02, 1.02), ylabel="share that is atypical")
        edges = np.linspace(0, 1, ECE_BINS + 1)
        below.bar(edges[:-1], count, width=1 / ECE_BINS, align="edge", color="#c3cad2")
        below.set(xlim=(-0.01, 1.01), xlabel="P(atypical) as predicted", ylabel="figures")
    return figure


def domain_plot(judgement: Judgement) -> Figure | None:
    """Return a bar a domain: balanced accuracy with its 95 % interval; None where none has one."""
    rows = judgement.domains.frame.dropna(subset=["balanced_accuracy"])
    if rows.empty:
        return None
    rows = rows.sort_values("balanced_accuracy", ascending=True, kind="stable")
    value = rows["balanced_accuracy"].to_numpy(dtype=np.float64)
    places = np.arange(len(rows))
    short = short_domain_names(list(judgement.domains.frame["domain"]))
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(7.6, 1.2 + 0.52 * len(rows))
        axes.barh(places, value, height=0.62, color="#b9d3e6")
        low = rows["ba_low"].to_numpy(dtype=np.float64)
        high = rows["ba_high"].to_numpy(dtype=np.float64)
        axes.hlines(places, low, high, color=INK, linewidth=1.6)
        axes.plot(value, places, "o", color=INK, markersize=5)
        axes.axvline(0.5, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        overall = judgement.overall.balanced_accuracy
        if overall is not None:
            axes.axvline(overall, color=INK, linewidth=1)
            axes.annotate(
                f"all {overall:.3f}",
                (overall, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=9,
            )
        axes.set_yticks(
            places,
            [
                f"{_clipped(short[name])}\n{figures} figures, {atypical} atypical"
                for name, figures, atypical in zip(
                    rows["domain"], rows["figures"], rows["atypical"], strict=True
                )
            ],
            fontsize=9,
        )
        axes.set(xlim=(0, 1), xlabel="balanced accuracy (dotted: guessing)")
        axes.tick_params(axis="y", length=0)
    return figure


def score_plot(judgement: Judgement) -> Figure:
    """Return the scores of atypical and of normal figures, with operating point and referred."""
    truth, p, call = _scores(judgement.figures)
    change = implied_operating_point(p, call)
    referred = p[judgement.figures["refer"].to_numpy(dtype=bool)]
    edges = np.linspace(0, 1, 41)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(5.2, 4.6), layout="constrained")
        panels = figure.subplots(2, 1, sharex=True)
        for axes, kind, colour, name in (
            (panels[0], 1.0, ATYPICAL, "atypical"),
            (panels[1], 0.0, NORMAL, "normal"),
        ):
            scores = p[truth == kind]
            if len(referred):
                axes.axvspan(
                    referred.min(), referred.max(), color="#f0e6c8", label="referred", zorder=0
                )
            axes.hist(scores, bins=edges, color=colour, alpha=0.85, zorder=2)
            if change is not None:
                axes.axvspan(change[0], change[1], color=INK, alpha=0.18, linewidth=0, zorder=3)
                middle = sum(change) / 2
                axes.axvline(middle, color=INK, linewidth=1.3, zorder=3, label="operating point")
            axes.set(ylabel=f"{name} figures", xlim=(-0.01, 1.01))
            axes.yaxis.get_major_locator().set_params(integer=True)
        panels[1].set_xlabel("P(atypical) as predicted")
        if panels[0].get_legend_handles_labels()[0]:
            figure.legend(
                *panels[0].get_legend_handles_labels(),
                loc="outside upper center",
                ncols=2,
                fontsize=9,
            )
    return figure


def refer_curve(judgement: Judgement) -> tuple[FloatArray, FloatArray]:
    """Return the share referred and the share of wrong calls among the rest.

    Figures are referred in the order of their distance from the operating point on the logit
    scale, closest first.

    Returns:
        Two arrays (N,): share referred (0 up to, not including, 1) and error among the rest.
    """
    truth, p, call = _scores(judgement.figures)
    change = implied_operating_point(p, call)
    middle = 0.5 if change is None else float(np.mean(change))
    distance = np.abs(_safe_logit(p) - _safe_logit(np.array([middle])))
    wrong = (call != (truth == 1.0)).astype(np.float64)
    farthest_first = np.argsort(-distance, kind="stable")
    kept = np.arange(1, len(p) + 1)
    error: FloatArray = np.cumsum(wrong[farthest_first]) / kept
    share: FloatArray = 1.0 - kept / len(p)
    return share[::-1], error[::-1]


def _safe_logit(p: FloatArray) -> FloatArray:
    value: FloatArray = logit(np.clip(p, 1e-6, 1 - 1e-6))
    return value


def refer_plot(judgement: Judgement) -> Figure:
    """Return how the error among the rest falls as more figures are referred to a person."""
    share, error = refer_curve(judgement)
    enough = share <= 0.8
    with matplotlib.rc_context(STYLE):
        figure, axes = canvas(5.2, 4.6)
        axes.plot(100 * share[enough], 100 * error[enough], color=INK, linewidth=1.8)
        referral = judgement.referral
        if referral.referred and referral.error_kept is not None:
            axes.plot(
                [100 * referral.share],
                [100 * referral.error_kept],
                marker="o",
                markersize=8,
                color=INK,
                markerfacecolor="white",
                linestyle="none",
                label="as referred in these predictions",
            )
            axes.legend(fontsize=9)
        axes.set(
            xlim=(0, 80),
            xlabel="referred to a person (%)",
            ylabel="wrong among the rest (%)",
        )
        axes.set_ylim(bottom=0, top=max(1.0, 115 * float(error[enough].max(initial=0.0))))
    return figure
