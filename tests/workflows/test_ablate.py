"""An ablation runs every arm, goes on where it was stopped, and tells what it leaves out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from atypia.data.phantom import make_phantom
from atypia.data.splits import crossed_folds
from atypia.data.table import FigureTable, figures_from_frame
from atypia.data.votes import hard_labels
from atypia.errors import AtypiaError
from atypia.files import NOTES_FOLDER, sha256
from atypia.models.backbones.registry import BackboneSpec
from atypia.training.ablation import Arm, Plan
from atypia.workflows import ablation_bench
from atypia.workflows.ablate import Ablation, ablate, show_ablation

QUICK = (
    "adapter.kind=full",
    "mixup.alpha=0.2",
    "ema.decay=0.995",
    "backbone.input_px=32",
    "backbone.pretrained=false",
    "schedule.epochs=2",
    "schedule.min_steps=2",
    "schedule.batch_size=16",
    "schedule.precision=32-true",
)


def _plan(*arms: Arm, seeds: tuple[int, ...] = (0,)) -> Plan:
    return Plan.model_validate({"name": "tiny", "seeds": seeds, "set": QUICK, "arm": arms})


def _arm(name: str, *changes: str, against: str | None = None) -> Arm:
    return Arm.model_validate({"name": name, "recipe": "lite", "set": changes, "against": against})


PLAN = _plan(_arm("plain"), _arm("no mixup", "mixup.alpha=0.0", against="plain"))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> FigureTable:
    folder = tmp_path_factory.mktemp("cohort")
    return make_phantom(folder, figures=72, domains=3, slides_per_domain=4, size_px=96, seed=0)


@pytest.fixture(scope="module")
def undisturbed(cohort: FigureTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("ablation") / "out"
    assert ablate(cohort, PLAN, out, device="cpu").done == 6
    return out


def _lines(out: Path) -> list[dict]:
    """All lines but for the time that each took."""
    lines = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def _copied(undisturbed: Path, out: Path, change: Callable[[str], str]) -> Path:
    out.mkdir()
    text = (undisturbed / "runs.jsonl").read_text()
    (out / "runs.jsonl").write_text(change(text))
    return out


def _files(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


@pytest.mark.parametrize("verb", [ablate, show_ablation])
def test_held_out_figures_take_no_part(
    cohort: FigureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: Callable
) -> None:
    def refuse(table: FigureTable, *_: object) -> None:
        raise AtypiaError(f"{len(table)} figures")

    monkeypatch.setattr(ablation_bench.Bench, "of", refuse)
    split = np.where(np.arange(len(cohort)) < 7, "val", "train")
    table = figures_from_frame(cohort.frame.assign(split=split), cohort.root)
    with pytest.raises(AtypiaError, match=r"^65 figures"):
        verb(table, PLAN, tmp_path)


def test_every_run_leaves_one_line_with_the_scores_of_what_it_has_not_seen(
    cohort: FigureTable, undisturbed: Path
) -> None:
    lines = _lines(undisturbed)
    left_out, held_out, names = crossed_folds(cohort.frame, 0)
    order = [(line["arm"], line["seed"], line["fold"]) for line in lines]
    assert order == [(arm, 0, fold) for arm in ("plain", "no mixup") for fold in range(3)]
    for line in lines:
        assert line["left_out"] == names[line["fold"]]
        assert len(line["left_out_logit"]) == (left_out == line["fold"]).sum()
        assert len(line["held_out_logit"]) == (held_out == line["fold"]).sum()
        assert line["recipe"]["mixup.alpha"] == (0.2 if line["arm"] == "plain" else 0.0)
        assert line["recipe"]["backbone.input_px"] == 32
        assert not {"name", "seed"} & line["recipe"].keys()
    text = (undisturbed / "runs.jsonl").read_text()
    assert str(cohort.root) not in text and "/" not in json.loads(text.splitlines()[0])["device"]


def test_the_scores_are_those_of_the_member_that_was_trained_without_these_figures(
    cohort: FigureTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {}
    trained = ablation_bench.train_member

    def spy(*arguments, member: int, **further):
        members[member] = trained(*arguments, member=member, **further)
        return members[member]

    monkeypatch.setattr(ablation_bench, "train_member", spy)
    ablate(cohort, _plan(_arm("plain")), tmp_path, device="cpu")
    left_out, held_out, _ = crossed_folds(cohort.frame, 0)
    for line in _lines(tmp_path):
        member = members[line["fold"]]
        logit = np.full(len(cohort), np.nan)
        logit[member.held_out] = member.logit
        for key, folds in (("left_out_logit", left_out), ("held_out_logit", held_out)):
            np.testing.assert_allclose(line[key], logit[folds == line["fold"]], atol=6e-4)
        assert line["probe"] == (None if member.probe is None else asdict(member.probe))
        assert set(member.held_out) == set(
            np.flatnonzero((left_out == line["fold"]) | (held_out == line["fold"]))
        )


def test_what_is_left_can_be_committed_and_holds_no_work(
    undisturbed: Path, cohort: FigureTable
) -> None:
    assert set(_files(undisturbed)) == {"runs.jsonl", "table.csv", "table.md", "differences.svg"}
    assert (undisturbed / "work" / ".gitignore").read_text() == "*\n"
    folders = {path.name for path in (undisturbed / "work").iterdir() if path.is_dir()}
    assert folders == {"windows", NOTES_FOLDER}
    frame = pd.read_csv(undisturbed / "table.csv")
    assert list(frame["arm"]) == ["plain", "no mixup"] and (frame["seeds"] == 1).all()
    text = (undisturbed / "table.md").read_text(encoding="utf-8")
    assert f"{len(cohort)} of known truth" in text and "`schedule.epochs=2`" in text
    assert str(cohort.root.parent) not in text


def test_the_table_tells_in_which_precision_its_runs_were_computed(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    assert "; 32-true; torch" in (undisturbed / "table.md").read_text(encoding="utf-8")
    # Lines of before it was recorded are those of a CPU with bf16.
    out = _copied(
        undisturbed, tmp_path / "out", lambda text: text.replace(',"precision":"32-true"', "", 3)
    )
    assert show_ablation(cohort, PLAN, out).done == 6
    told = (out / "table.md").read_text(encoding="utf-8")
    assert "; 3 runs in 32-true and 3 runs in bf16-mixed; torch" in told


def test_done_runs_are_not_done_again_and_the_files_come_out_the_same(
    cohort: FigureTable, undisturbed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(undisturbed)
    monkeypatch.setattr(ablation_bench, "train_member", None)
    assert ablate(cohort, PLAN, undisturbed, device="cpu").done == 6
    assert show_ablation(cohort, PLAN, undisturbed).done == 6
    assert _files(undisturbed) == before


def test_stopped_within_a_run_it_goes_on_from_the_checkpoint_to_the_same_lines(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = ablation_bench.train_member
    steps: list[tuple[int, int]] = []  # of a member, the step

    def watched(*arguments, member: int, on_progress, **further):
        def told(at) -> None:
            steps.append((member, at.step))
            on_progress(at)
            if steps == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 1), (1, 2), (1, 3)]:
                raise KeyboardInterrupt  # in the last of two epochs

        return trained(*arguments, member=member, on_progress=told, **further)

    monkeypatch.setattr(ablation_bench, "train_member", watched)
    result = ablate(cohort, PLAN, tmp_path, device="cpu")
    assert (result.stopped, result.done, result.comparison) == (True, 1, None)
    assert len(list((tmp_path / "work").glob("plain-0-1-*/checkpoint.pt"))) == 1
    result = ablate(cohort, PLAN, tmp_path, device="cpu")
    assert not result.stopped and result.comparison is not None
    assert steps[7:9] == [(1, 3), (1, 4)]
    assert _lines(tmp_path) == _lines(undisturbed)
    assert _files(tmp_path)["table.csv"] == _files(undisturbed)["table.csv"]


def test_workers_leave_the_same_scores(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    seen = []
    result = ablate(
        cohort, PLAN, tmp_path, device="cpu", threads=1, workers=2,
        on_progress=lambda task, done, of, note: seen.append((task, done, of)),
    )  # fmt: skip
    assert result.done == 6
    assert [one for one in seen if one[0] == "runs"] == [("runs", done, 6) for done in range(7)]

    def in_order(lines: list[dict]) -> list[dict]:
        return sorted(lines, key=lambda line: (line["arm"], line["fold"]))

    assert in_order(_lines(tmp_path)) == in_order(_lines(undisturbed))


def test_a_last_line_that_a_kill_has_cut_is_done_again(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    out = _copied(undisturbed, tmp_path / "out", lambda text: text[:-100])
    cut = (out / "runs.jsonl").read_text()
    assert show_ablation(cohort, PLAN, out).done == 5
    assert (out / "runs.jsonl").read_text() == cut  # another process may be writing it
    assert ablate(cohort, PLAN, out, device="cpu").done == 6
    assert _lines(out) == _lines(undisturbed)


def test_a_whole_last_line_without_its_end_is_kept(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    text = (undisturbed / "runs.jsonl").read_text()
    only_first = "".join(text.splitlines(keepends=True)[:3])
    out = _copied(undisturbed, tmp_path / "out", lambda _: only_first[:-1])
    assert ablate(cohort, PLAN, out, device="cpu").done == 6
    assert _lines(out) == _lines(undisturbed)


def _changed(text: str, number: int, **values) -> str:
    lines = [json.loads(line) for line in text.splitlines()]
    lines[number] |= values
    return "".join(json.dumps(line) + "\n" for line in lines)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace('{"arm"', '"arm"', 1), "line 1: is damaged"),
        (lambda text: _changed(text, 1, seconds="long"), "line 2: is damaged .seconds"),
        (lambda text: _changed(text, 2, left_out_logit=[0.5]), "line 3: holds 1 and .* expected"),
    ],
)
def test_a_damaged_line_is_refused_by_its_number(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path, change, said: str
) -> None:
    out = _copied(undisturbed, tmp_path / "out", change)
    for verb in (ablate, show_ablation):
        with pytest.raises(AtypiaError, match=said) as told:
            verb(cohort, PLAN, out)
        assert str(out / "runs.jsonl") in str(told.value)


def test_lines_of_another_recipe_stay_are_counted_and_their_runs_are_done_anew(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    recipe = _lines(undisturbed)[4]["recipe"] | {"schedule.epochs": 99}
    out = _copied(undisturbed, tmp_path / "out", lambda text: _changed(text, 4, recipe=recipe))
    shown = show_ablation(cohort, PLAN, out)
    assert (shown.done, shown.other) == (5, 1)
    assert [arm.name for arm in shown.comparison.arms] == ["plain"]
    assert shown.comparison.not_run == ("no mixup",)
    result = ablate(cohort, PLAN, out, device="cpu")
    assert (result.done, result.other) == (6, 1)
    assert len(_lines(out)) == 7 and _lines(out)[-1] == _lines(undisturbed)[4]


def test_a_key_that_came_into_the_recipe_later_agrees_at_its_default(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    def without(key: str) -> Callable[[str], str]:
        lines = _lines(undisturbed)
        recipe = {name: value for name, value in lines[0]["recipe"].items() if name != key}
        return lambda text: _changed(text, 0, recipe=recipe)

    at_default = _copied(undisturbed, tmp_path / "default", without("ema.decay"))
    assert show_ablation(cohort, PLAN, at_default).done == 6
    elsewhere = _copied(undisturbed, tmp_path / "other", without("backbone.input_px"))
    assert show_ablation(cohort, PLAN, elsewhere).done == 5


def test_lines_of_other_figures_do_not_count(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    out = _copied(undisturbed, tmp_path / "out", lambda text: text)
    fewer = figures_from_frame(cohort.frame.iloc[1:].reset_index(drop=True), cohort.root)
    shown = show_ablation(fewer, PLAN, out)
    assert (shown.done, shown.other, shown.comparison) == (0, 6, None)
    assert shown.files == ()


def test_an_arm_that_fails_is_told_once_and_leaves_the_others(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    bad = _arm("bad", "adapter.kind=lora", "adapter.target=nothing")
    result: Ablation = ablate(cohort, _plan(bad, *PLAN.arms), tmp_path, device="cpu")
    assert (result.done, result.of) == (6, 9)
    (told,) = result.failed
    assert told.startswith("bad: 3 runs failed, the first with seed 0, without phantom scanner A")
    assert "matches no layer" in told
    assert _lines(tmp_path) == _lines(undisturbed)
    assert result.comparison.not_run == ("bad",)


def test_a_column_that_decides_nothing_leaves_the_runs_usable(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    out = _copied(undisturbed, tmp_path / "out", lambda text: text)
    remarked = figures_from_frame(cohort.frame.assign(remark="seen on Tuesday"), cohort.root)
    assert show_ablation(remarked, PLAN, out).done == 6
    relabelled = figures_from_frame(
        cohort.frame.assign(label=1 - hard_labels(cohort.frame)), cohort.root
    )
    assert show_ablation(relabelled, PLAN, out).done == 0


def test_lines_of_earlier_versions_which_hashed_the_whole_table_count(
    cohort: FigureTable, undisturbed: Path, tmp_path: Path
) -> None:
    left_out, held_out, _ = crossed_folds(cohort.frame, 0)
    text = cohort.frame.to_csv(index=False).encode() + left_out.tobytes() + held_out.tobytes()
    earlier = hashlib.sha256(text).hexdigest()[:16]
    now = _lines(undisturbed)[0]["figures"]
    assert now != earlier
    out = _copied(undisturbed, tmp_path / "out", lambda lines: lines.replace(now, earlier))
    assert show_ablation(cohort, PLAN, out).done == 6


def test_figures_that_cannot_work_are_refused_before_anything_is_trained(
    cohort: FigureTable, tmp_path: Path
) -> None:
    votes = {f"vote_{expert}": np.nan for expert in (1, 2, 3)}
    north = cohort.frame["laboratory"] == cohort.frame["laboratory"].iloc[0]
    for label, said in (
        (north.astype(float), "no domain holds both"),
        (north & (cohort.frame["slide"].str.endswith("s04")), "no atypical figure"),
    ):
        table = figures_from_frame(
            cohort.frame.assign(**votes, label=label.astype(float)), cohort.root
        )
        with pytest.raises(AtypiaError, match=said):
            ablate(table, PLAN, tmp_path, device="cpu")
    two = figures_from_frame(cohort.frame[~north].reset_index(drop=True), cohort.root)
    with pytest.raises(AtypiaError, match="needs three"):
        ablate(two, PLAN, tmp_path, device="cpu")
    assert not list(tmp_path.iterdir())


def test_lines_of_other_weights_are_done_again(
    cohort: FigureTable, stand_in: BackboneSpec, tmp_path: Path
) -> None:
    plan = _plan(
        _arm("vit", "backbone.key=stand-in", "adapter.kind=lora", "backbone.pretrained=true")
    )
    with pytest.raises(AtypiaError, match="atypia models fetch stand-in"):
        ablate(cohort, plan, tmp_path / "out", device="cpu")
    assert not (tmp_path / "out" / "runs.jsonl").exists()
    hashes = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        save_file(stand_in.create().state_dict(), tmp_path / "model.safetensors")
        found = ablate(cohort, plan, tmp_path / "out", device="cpu", weights=tmp_path)
        assert (found.done, found.other) == (3, 3 * seed)
        hashes.append({line["weights_sha256"] for line in _lines(tmp_path / "out")})
    assert hashes[0] < hashes[1]
    assert sha256(tmp_path / "model.safetensors") in hashes[1]
    # The table needs no weights.
    assert show_ablation(cohort, plan, tmp_path / "out").done == 3
