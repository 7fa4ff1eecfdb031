from __future__ import annotations

import base64
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from atypia.data.table import figures_from_frame
from atypia.evaluation.judge import judge
from atypia.evaluation.plots import (
    domain_plot,
    gamma_plot,
    refer_plot,
    reliability_plot,
    roc_plot,
    score_plot,
    shorten_label,
    svg_bytes,
    svg_uri,
)

ALWAYS = (reliability_plot, score_plot)
GAMMAS = (np.arange(20.0).reshape(4, 5), 1 + np.arange(15.0).reshape(3, 5))


@pytest.fixture
def judgement(cohort, predictions):
    return judge(predictions, cohort)


def test_every_plot_is_an_svg_and_the_same_bytes_each_time(judgement) -> None:
    for plot in (*ALWAYS, refer_plot, roc_plot, domain_plot):
        uri = svg_uri(plot(judgement))
        assert uri == svg_uri(plot(judgement))
        head, data = uri.split(",", 1)
        assert head == "data:image/svg+xml;base64"
        assert b"<svg" in base64.b64decode(data)


def test_the_roc_names_overall_and_domain_areas(judgement) -> None:
    texts = [text.get_text() for text in roc_plot(judgement).legends[0].get_texts()]
    assert texts[0].startswith("Scanner A  0.")
    assert texts[1] == "Scanner B  1.000"
    assert texts[2] == f"all figures  {judgement.overall.auroc:.3f}"


def test_one_class_leaves_out_what_is_not_defined_and_draws_the_rest(cohort, predictions) -> None:
    table = figures_from_frame(cohort.frame.assign(label=1.0), cohort.root)
    found = judge(predictions, table)
    assert roc_plot(found) is None
    assert domain_plot(found) is None
    assert refer_plot(found) is None
    for plot in ALWAYS:
        assert svg_uri(plot(found))


def test_domain_bars_are_ordered_and_labelled_with_their_figures(judgement) -> None:
    labels = [label.get_text() for label in domain_plot(judgement).axes[0].get_yticklabels()]
    assert labels == ["Scanner A\n24 figures, 6 atypical", "Scanner B\n24 figures, 6 atypical"]


def test_reliability_counts_every_figure_once(judgement) -> None:
    counts = [bar.get_height() for bar in reliability_plot(judgement).axes[1].patches]
    assert sum(counts) == 48


def test_names_with_dollar_signs_do_not_become_mathematics(cohort, predictions) -> None:
    table = figures_from_frame(
        cohort.frame.assign(scanner=cohort.frame["scanner"] + " $\\frac{$"), cohort.root
    )
    assert svg_uri(roc_plot(judge(predictions, table)))


LETTERS = ("病理科 ' & <b>", "Патология हिन्दी 😀", "escape \x1b[31m\x07")


def test_names_in_any_letters_are_text_that_a_browser_can_show(cohort, predictions) -> None:
    names = [LETTERS[row % 3] for row in range(len(cohort.frame))]
    found = judge(predictions, figures_from_frame(cohort.frame.assign(scanner=names), cohort.root))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no warning of a missing glyph comes on the screen
        drawings = [svg_bytes(plot(found)) for plot in (roc_plot, domain_plot)]
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)  # fails on a control character
        texts = " ".join(text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text"))
        for name in (*LETTERS[:2], "escape [31m"):
            assert name in texts
        assert b"sans-serif" in drawing


def test_wide_names_are_cut_sooner_and_keep_their_room() -> None:
    assert shorten_label("a" * 40) == "a" * 40
    wide = shorten_label("病" * 40)
    assert wide.rstrip() == "病" * 21 + " ..."
    # A browser draws each in 1 em, which is about three spaces of matplotlib's font; it has
    # measured them as two.
    assert len(wide) - len(wide.rstrip()) == 27


def test_the_gamma_plot_is_the_same_bytes_each_time() -> None:
    assert svg_uri(gamma_plot(GAMMAS)) == svg_uri(gamma_plot(GAMMAS))


def test_every_bin_is_named_and_drawn_as_the_mean_of_the_epochs_that_all_folds_have() -> None:
    axes = gamma_plot(GAMMAS).axes[0]
    thick = [line for line in axes.get_lines() if line.get_linewidth() > 2]
    names = [line.get_label() for line in thick]
    assert names == ["1 (least confident)", "2", "3", "4", "5 (most confident)"]
    np.testing.assert_allclose(thick[0].get_xdata(), [1, 2, 3])
    np.testing.assert_allclose(thick[0].get_ydata(), [0.5, 5.5, 10.5])
    thin = [line for line in axes.get_lines() if line.get_linewidth() < 0.8]
    assert sorted(len(line.get_xdata()) for line in thin) == [3] * 5 + [4] * 5


def test_one_epoch_can_be_seen() -> None:
    axes = gamma_plot([np.ones((1, 2))]).axes[0]
    assert [line.get_marker() for line in axes.get_lines()[1:]] == ["o", "o"]
