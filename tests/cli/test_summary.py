"""Printed results: counts add up, what is not defined is a dash, times have their unit."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from atypia.cli.summary import describe_run, print_probe, print_summary
from atypia.evaluation.probe import DomainProbe
from atypia.evaluation.training_story import TrainingStory
from atypia.inference.record import RunRecord
from atypia.workflows.evaluate import evaluate


@pytest.fixture
def record() -> RunRecord:
    return RunRecord(
        atypia="0",
        runtime="torch 2",
        started="",
        ended="",
        bundle="b",
        bundle_name="b",
        bundle_sha256="",
        members=1,
        sources=(),
        out="p.csv",
        figures=5,
        predicted=5,
        atypical=2,
        referred=1,
        out_of_scope={},
        failures=(),
        mpp_from={},
        mpp_given=None,
        mpp_assumed=None,
        prevalence=None,
        align_to=None,
        aligned_by=None,
        device="cpu",
        precision="fp32",
        threads=1,
        batch_size=5,
        seconds=2.0,
        reading_s=0.5,
        network_s=1.25,
        crops_per_s=2.5,
    )


def test_a_run_is_summed_up_in_two_lines(record: RunRecord) -> None:
    assert describe_run(record) == [
        "5 of 5 figures classified: 2 atypical, 3 normal; 1 referred to a person",
        "2.0 s (2 crops/s): 0.5 s reading, 1.2 s network, summed over 1 thread "
        "(torch 2, cpu, fp32)",
    ]


def test_what_is_out_of_scope_is_counted_by_reason(record: RunRecord) -> None:
    found = replace(record, referred=3, out_of_scope={"no tissue": 2, "ink": 1})
    assert describe_run(found)[1] == "3 out of scope (2 no tissue, 1 ink), referred"


def test_an_alignment_is_told(record: RunRecord) -> None:
    aligned = replace(record, align_to="lab.csv", aligned_by=0.4137)
    assert describe_run(aligned)[1] == "aligned to lab.csv: +0.41 on the logit of P"


def test_failures_are_counted_beside_what_was_classified(record: RunRecord) -> None:
    failures = (("a.png", "empty"), ("b.png", "empty"))
    line, times = describe_run(replace(record, predicted=3, failures=failures, threads=2))  # type: ignore[arg-type]
    assert line.startswith(
        "3 of 5 figures classified, 2 failed (named above): 2 atypical, 1 normal"
    )
    assert "summed over 2 threads" in times


def test_a_domain_of_one_class_has_a_dash_and_not_a_number(tmp_path: Path) -> None:
    table = tmp_path / "figures.csv"
    table.write_text(
        "figure_id,image,slide,scanner,label\na,a.png,s1,A,1\nb,b.png,s2,A,0\nc,c.png,s3,B,1\n"
    )
    predictions = pd.DataFrame(
        {
            "figure_id": ["a", "b", "c"],
            "p_atypical": [0.9, 0.1, 0.8],
            "call": ["atypical", "normal", "atypical"],
        }
    )
    console = Console(file=io.StringIO(), width=120)
    print_summary(evaluate(predictions, table), console)
    rows = [line.split() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    by_name = {row[0]: row[1:] for row in rows if row}
    assert by_name["A"] == ["2", "1", "1.000", "1.000", "1.000", "1.000"]
    assert by_name["B"] == ["1", "1", "–", "–", "1.000", "–"]


def test_the_probe_is_a_mean_over_the_folds_that_have_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_probe(TrainingStory())
    assert capsys.readouterr().out == ""
    probes = {"fold 1": DomainProbe(0.8, 0.6, 0.5), "fold 2": DomainProbe(0.6, 0.4, 0.5)}
    print_probe(TrainingStory(probes=probes))
    assert capsys.readouterr().out == (
        "linear-probe accuracy for domain: 0.70 before training, 0.50 after (chance 0.50), mean "
        "of 2 folds\n"
    )
