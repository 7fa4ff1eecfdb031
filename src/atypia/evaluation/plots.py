"""The pictures of a report, as matplotlib figures; safe for readers with red-green blindness.

Colours are of Okabe and Ito's set; domains also differ in line style. pyplot is not used: no window
is opened and no figure is left in memory.
"""

from __future__ import annotations

import io
import math
import textwrap
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from atypia.data.count_intervals import exact_interval
from atypia.evaluation.html import data_uri
from atypia.evaluation.judge import Judgement, infer_operating_point
from atypia.evaluation.metrics import ECE_BINS, roc_curve
from atypia.evaluation.refer_curve import refer_curve

FloatArray = npt.NDArray[np.float64]
_GAMMAS_IN_A_ROW = 5

NORMAL, ATYPICAL, INK, QUIET = "#0072B2", "#D55E00", "#1f2933", "#8a94a0"
_DOMAIN_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#7a6a00")
_DOMAIN_STYLES = ("-", "--", ":", "-.")
# Set while a plot is drawn and while it is saved.
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
    # Text stays text, so that a browser shows the letters that matplotlib's own font lacks. Verdana
    # is as wide as that font, which is rarely installed elsewhere.
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Geneva"],
    "svg.hashsalt": "atypia",
}


def svg_bytes(figure: Figure) -> bytes:
    """Return a figure as an SVG, the same bytes for the same figure."""
    buffer = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def svg_uri(figure: Figure) -> str:
    """Return a figure as the data URI of an SVG, the same bytes for the same figure."""
    return data_uri(svg_bytes(figure), "image/svg+xml")


def make_canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty picture with one pair of axes, sides in inches."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.add_subplot()
    return figure, axes


def shorten_label(name: str, width: int = 46) -> str:
    """Return a name as it can stand in a drawing: in one line, cut to a width in letters.

    Letters of Chinese, Japanese and Korean count twice. matplotlib's font lacks them and takes each
    for 0.6 em; the spaces after the name, which SVG drops, make up for what it leaves out.
    """
    text = "".join(letter if letter.isprintable() else " " for letter in name)
    text = textwrap.shorten(text, width, placeholder=" ...")
    while sum(map(_count_columns, text)) > width:
        text = text.removesuffix(" ...")[:-1] + " ..."
    wide = sum(_count_columns(letter) == 2 for letter in text)
    return text + " " * math.ceil(wide * (1.0 - 0.6) / 0.318)


def _count_columns(letter: str) -> int:
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def _select_scores(frame: pd.DataFrame) -> tuple[FloatArray, FloatArray, npt.NDArray[np.bool_]]:
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
    short = judgement.short_names
    with matplotlib.rc_context(STYLE):
        height = 4.6 + (0.19 * (len(rows) + 1) if several else 0.2)
        figure, axes = make_canvas(5.2, height)
        axes.plot([0, 1], [0, 1], color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        if several:
            for index, (name, auroc) in enumerate(zip(rows["domain"], rows["auroc"], strict=True)):
                here = judgement.figures[judgement.figures["domain"] == name]
                truth, p, _ = _select_scores(here)
                false_alarms, hits = roc_curve(truth, p)
                axes.plot(
                    false_alarms,
                    hits,
                    color=_DOMAIN_COLOURS[index % len(_DOMAIN_COLOURS)],
                    linestyle=_DOMAIN_STYLES[index // len(_DOMAIN_COLOURS) % len(_DOMAIN_STYLES)],
                    linewidth=1.2,
                    label=f"{shorten_label(short[name])}  {auroc:.3f}",
                )
        truth, p, _ = _select_scores(judgement.figures)
        false_alarms, hits = roc_curve(truth, p)
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
                label="calls in the table",
            )
        axes.set(
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
            xlabel="1 - specificity (normal figures called atypical)",
            ylabel="sensitivity (atypical figures called atypical)",
        )
        figure.legend(loc="outside lower center", fontsize=9, ncols=1, alignment="left")
    return figure


def reliability_plot(judgement: Judgement) -> Figure:
    """Return observed shares against predicted probabilities, with the counts below.

    The bins are those of the ECE; the bars are 95 % intervals (Clopper and Pearson 1934).
    """
    truth, p, _ = _select_scores(judgement.figures)
    which = np.minimum((p * ECE_BINS).astype(np.int64), ECE_BINS - 1)
    count = np.bincount(which, minlength=ECE_BINS)
    hits = np.bincount(which, weights=truth, minlength=ECE_BINS)
    filled = count > 0
    mean_p = np.bincount(which, weights=p, minlength=ECE_BINS)[filled] / count[filled]
    share = hits[filled] / count[filled]
    counts = zip(hits[filled].astype(int), count[filled], strict=True)
    intervals = [exact_interval(int(some), int(of)) for some, of in counts]
    low, high = np.array(intervals).reshape(-1, 2).T
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
        above.set(ylim=(-0.02, 1.02), ylabel="observed share of atypical figures")
        edges = np.linspace(0, 1, ECE_BINS + 1)
        below.bar(edges[:-1], count, width=1 / ECE_BINS, align="edge", color="#c3cad2")
        below.set(xlim=(-0.01, 1.01), xlabel="predicted P(atypical)", ylabel="figures")
    return figure


def domain_plot(judgement: Judgement) -> Figure | None:
    """Return a bar a domain: balanced accuracy with its 95 % interval; None where none has one."""
    rows = judgement.domains.frame.dropna(subset=["balanced_accuracy"])
    if rows.empty:
        return None
    rows = rows.sort_values("balanced_accuracy", ascending=True, kind="stable")
    value = rows["balanced_accuracy"].to_numpy(dtype=np.float64)
    places = np.arange(len(rows))
    short = judgement.short_names
    with matplotlib.rc_context(STYLE):
        figure, axes = make_canvas(7.6, 1.2 + 0.52 * len(rows))
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
                f"overall {overall:.3f}",
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
                f"{shorten_label(short[name])}\n{figures} figures, {atypical} atypical"
                for name, figures, atypical in zip(
                    rows["domain"], rows["figures"], rows["atypical"], strict=True
                )
            ],
            fontsize=9,
        )
        axes.set(xlim=(0, 1), xlabel="balanced accuracy (dotted: chance)")
        axes.tick_params(axis="y", length=0)
    return figure


def score_plot(judgement: Judgement) -> Figure:
    """Return the scores of atypical and of normal figures, with operating point and referred."""
    truth, p, call = _select_scores(judgement.figures)
    change = infer_operating_point(p, call)
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
        panels[1].set_xlabel("predicted P(atypical)")
        if panels[0].get_legend_handles_labels()[0]:
            figure.legend(
                *panels[0].get_legend_handles_labels(),
                loc="outside upper center",
                ncols=2,
                fontsize=9,
            )
    return figure


def refer_plot(judgement: Judgement) -> Figure | None:
    """Return error rates as more figures are referred; None with one class.

    Rings mark the referrals in the predictions.
    """
    curve = refer_curve(judgement)
    if curve is None:
        return None
    referral = judgement.referral
    enough = curve.share <= 0.8
    with matplotlib.rc_context(STYLE):
        figure, axes = make_canvas(5.2, 4.9)
        for values, at, colour, line, label in (
            (curve.error, referral.error_kept, INK, "-", "wrong calls among figures not referred"),
            (
                curve.missed,
                referral.missed,
                ATYPICAL,
                "--",
                "atypical called normal without review",
            ),
            (
                curve.false_alarms,
                referral.false_alarms,
                NORMAL,
                ":",
                "normal called atypical without review",
            ),
        ):
            axes.plot(
                100 * curve.share[enough],
                100 * values[enough],
                color=colour,
                linestyle=line,
                linewidth=1.8,
                label=label,
            )
            if referral.referred and at is not None:
                axes.plot(
                    [100 * referral.share],
                    [100 * at],
                    marker="o",
                    markersize=8,
                    color=colour,
                    markerfacecolor="white",
                    linestyle="none",
                )
        highest = max(
            float(np.max(v)) for v in (curve.error[enough], curve.missed, curve.false_alarms)
        )
        axes.set(xlim=(0, 80), ylim=(0, max(1.0, 110 * highest)))
        axes.set(xlabel="referred to a person (%)", ylabel="error rate (%)")
        figure.legend(loc="outside upper center", fontsize=9, ncols=1, alignment="left")
    return figure


def gamma_plot(gammas: Sequence[npt.NDArray[np.float64]]) -> Figure:
    """Return the gamma of each confidence bin over epochs: folds thin, their mean thick.

    The mean ends where the shortest fold does.

    Args:
        gammas: one a fold, at least one, float64 (epochs, bins), least confident bin first; folds
            may differ in epochs.
    """
    bins = gammas[0].shape[1]
    shared = min(len(fold) for fold in gammas)
    mean = np.mean([fold[:shared] for fold in gammas], axis=0)
    with matplotlib.rc_context(STYLE):
        # Cividis is readable without colour vision; its palest end would vanish on white.
        colours = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.88, bins))
        rows = math.ceil(bins / _GAMMAS_IN_A_ROW)
        figure, axes = make_canvas(7.6, 4.2 + 0.22 * rows)
        axes.axhline(0, color=QUIET, linewidth=0.8, linestyle=(0, (2, 3)))
        for index, colour in enumerate(colours):
            for fold in gammas if len(gammas) > 1 else ():
                epochs = np.arange(1, len(fold) + 1)
                axes.plot(epochs, fold[:, index], color=colour, linewidth=0.7, alpha=0.45)
            axes.plot(
                np.arange(1, shared + 1),
                mean[:, index],
                color=colour,
                linewidth=2.2,
                marker="o" if shared == 1 else None,
                label=_name_bin(index, bins),
            )
        axes.set(xlabel="epoch", ylabel="gamma after the epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        figure.legend(loc="outside lower center", fontsize=9, ncols=min(bins, _GAMMAS_IN_A_ROW))
    return figure


def _name_bin(number: int, bins: int) -> str:
    if number == 0:
        return "1 (least confident)"
    return f"{bins} (most confident)" if number == bins - 1 else f"{number + 1}"
