"""What all runs of an ablation share: the same folds for every arm, places of their own."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from atypia.data.splits import crossed_folds
from atypia.data.table import FigureTable, figures_from_frame
from atypia.errors import AtypiaError
from atypia.training.ablation import Plan
from atypia.workflows.ablation_bench import Bench


def _plan(*arms: dict[str, object]) -> Plan:
    arms = tuple({"recipe": "lite"} | arm for arm in arms)
    return Plan.model_validate({"name": "tiny", "seeds": (3, 5), "arm": arms})


PLAN = _plan({"name": "plain"}, {"name": "no mixup", "set": ("mixup.alpha=0.0",)})


@pytest.fixture
def table(tmp_path: Path) -> FigureTable:
    """72 figures of three laboratories with four slides each; no images are needed."""
    rows = np.arange(72)
    frame = pd.DataFrame(
        {
            "figure_id": [f"f{row}" for row in rows],
            "image": [f"f{row}.png" for row in rows],
            "slide": [f"{row % 3}-s{row // 3 % 4}" for row in rows],
            "laboratory": [f"lab {'abc'[row % 3]}" for row in rows],
            "mpp": 0.25,
            "label": rows // 12 % 2,
            "phase": "metaphase",
        }
    )
    return figures_from_frame(frame, tmp_path)


def _bench(table: FigureTable) -> Bench:
    return Bench.of(table, table.root / "out", "cpu", None)


def test_runs_come_seed_by_seed_and_all_arms_share_the_folds(table: FigureTable) -> None:
    bench = _bench(table)
    assert len(bench.runs_without) == 3
    order = [job.key for job in bench.jobs(PLAN)]
    assert order == [
        (arm, seed, fold) for seed in (3, 5) for arm in ("plain", "no mixup") for fold in range(3)
    ]


def test_domains_are_left_out_in_groups_where_the_plan_says_so(table: FigureTable) -> None:
    laboratory = [f"lab {'abcde'[row % 5]}, Ulm" for row in range(len(table))]
    five = figures_from_frame(table.frame.assign(laboratory=laboratory, slide="", case=""), "x")
    bench = Bench.of(five, table.root / "out", "cpu", None, 3)
    assert sorted("; ".join(bench.short_names).split("; ")) == [f"lab {lab}" for lab in "abcde"]
    assert len(bench.jobs(PLAN)) == 2 * 2 * 3
    assert bench.figures != Bench.of(five, table.root / "out", "cpu", None).figures


def test_every_run_has_a_folder_and_an_identity_of_its_own(table: FigureTable) -> None:
    bench = _bench(table)
    jobs = bench.jobs(PLAN)
    assert len({bench.folder(job) for job in jobs}) == len(jobs)
    relabelled = figures_from_frame(table.frame.assign(label=1 - table.frame["label"]), table.root)
    remarked = figures_from_frame(table.frame.assign(remark="seen on Tuesday"), table.root)
    assert _bench(relabelled).identity(jobs[0]) != bench.identity(jobs[0])
    assert _bench(remarked).identity(jobs[0]) == bench.identity(jobs[0])


def test_lines_of_earlier_versions_which_hashed_the_whole_table_are_known(
    table: FigureTable,
) -> None:
    left_out, held_out, _ = crossed_folds(table.frame, 0)
    text = table.frame.to_csv(index=False).encode() + left_out.tobytes() + held_out.tobytes()
    bench = _bench(table)
    assert bench.earlier_figures == hashlib.sha256(text).hexdigest()[:16] != bench.figures


def test_an_arm_of_a_plan_of_atypia_that_cannot_work_here_is_left_out(table: FigureTable) -> None:
    arms = ({"name": "plain"}, {"name": "phase", "set": ("phase.weight=1",), "against": "plain"})
    plan = _plan(*arms)
    bare = _bench(figures_from_frame(table.frame.assign(phase=""), table.root))
    asked, notes = bare.drop_unworkable_arms(plan)
    assert [arm.name for arm in asked.arms] == ["plain", "phase"]
    assert notes == ["arm 'plain': phase.weight is off: no training figure has a phase"]
    plan._is_atypias = True
    fewer, notes = bare.drop_unworkable_arms(plan)
    assert [arm.name for arm in fewer.arms] == ["plain"]
    assert notes[-1] == "arm 'phase' is left out: no training figure has a phase"
    assert _bench(table).drop_unworkable_arms(plan) == (plan, [])


def test_figures_that_cannot_work_are_refused(table: FigureTable) -> None:
    of_a = table.frame["laboratory"] == "lab a"
    for label, message in (
        (of_a.astype(int), "no domain has both"),
        ((of_a & (table.frame["slide"] == "0-s3")).astype(int), "no atypical figure"),
    ):
        bench = _bench(figures_from_frame(table.frame.assign(label=label), table.root))
        with pytest.raises(AtypiaError, match=message):
            bench.require_both_classes(bench.jobs(PLAN)[0].recipe)
    two = figures_from_frame(table.frame[~of_a].reset_index(drop=True), table.root)
    with pytest.raises(AtypiaError, match="needs three"):
        _bench(two)


def test_a_missing_weights_file_is_refused_before_any_run(
    table: FigureTable, no_hub: Path, stand_in: object
) -> None:
    plan = _plan({"name": "vit", "set": ("backbone.key=stand-in", "adapter.kind=lora")})
    bench = _bench(table)
    with pytest.raises(AtypiaError, match="atypia models fetch stand-in"):
        bench.with_weights(bench.jobs(plan), None)
