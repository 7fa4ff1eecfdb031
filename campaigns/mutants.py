"""Change one line of the training or the judging to be wrong, and see whether a test fails.

Each mutant is a fault that someone could make, in a copy of the package; the tests named beside it
run on that copy. A mutant that no test fails on survives: a test is missing.

    python campaigns/mutants.py                # all, about a minute each
    python campaigns/mutants.py --only clip    # those with this word in their name

Results are written to docs/campaigns/mutants.jsonl, one line a mutant.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "docs" / "campaigns" / "mutants.jsonl"


@dataclass(frozen=True)
class Mutant:
    """A fault put into the package.

    Attributes:
        name: what is wrong.
        path: the file, below src/atypia.
        old: text that stands there once.
        new: what takes its place.
        tests: that should fail, below tests: files, or tests by `file::name`.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]


METRICS = ("evaluation/test_metrics.py",)
CALIBRATION = ("evaluation/test_calibration.py",)
OPERATING_POINT = ("evaluation/test_operating_point.py",)
REFER_BAND = ("evaluation/test_refer_band.py",)
INTERVALS = ("evaluation/test_intervals.py",)
COMPARISON = ("evaluation/test_comparison.py",)

MUTANTS = (
    Mutant(
        "sensitivity of all figures",
        "evaluation/metrics.py",
        "float(call[positive].mean()) if atypical",
        "float(call.mean()) if atypical",
        METRICS,
    ),
    Mutant(
        "ECE without the sign of a bin's gap",
        "evaluation/metrics.py",
        "weights=p - truth,",
        "weights=np.abs(p - truth),",
        METRICS,
    ),
    Mutant(
        "worst domain is the best",
        "evaluation/metrics.py",
        "large.max() if lower_is_better else large.min()",
        "large.min() if lower_is_better else large.max()",
        METRICS,
    ),
    Mutant(
        "domains of one class count in the mean",
        "evaluation/metrics.py",
        'counted = self.frame[~self.frame["domain"].isin(self.left_out)]',
        "counted = self.frame",
        METRICS,
    ),
    Mutant(
        "figures are resampled, not cases",
        "evaluation/intervals.py",
        "names = {name: index for index, name in enumerate(dict.fromkeys(clusters))}\n"
        "    member = np.array([names[name] for name in clusters], dtype=np.int64)\n"
        "    count = len(names)",
        "member = np.arange(len(clusters))\n    count = len(clusters)",
        INTERVALS,
    ),
    Mutant(
        "ties count as won",
        "evaluation/intervals.py",
        "np.cumsum(normal, axis=1) - normal / 2",
        "np.cumsum(normal, axis=1)",
        INTERVALS,
    ),
    Mutant(
        "an interval from a few lucky resamples",
        "evaluation/intervals.py",
        "if len(usable) * 2 < len(values):",
        "if not len(usable):",
        INTERVALS,
    ),
    Mutant(
        "targets of the temperature are not smoothed",
        "evaluation/calibration.py",
        "high, low = (atypical + 1) / (atypical + 2), 1 / (normal + 2)",
        "high, low = 1.0, 0.0",
        CALIBRATION,
    ),
    Mutant(
        "the temperature has no bias",
        "evaluation/calibration.py",
        "(-_BIAS_BOUND, _BIAS_BOUND),",
        "(0.0, 0.0),",
        CALIBRATION,
    ),
    Mutant(
        "a case in two folds has a say in its own calibration",
        "evaluation/calibration.py",
        "others = np.array([cluster not in touched for cluster in clusters], dtype=bool)",
        "others = ~here",
        CALIBRATION,
    ),
    Mutant(
        "a fold is calibrated on itself",
        "evaluation/calibration.py",
        "others = np.array([cluster not in touched for cluster in clusters], dtype=bool)",
        "others = np.ones(len(clusters), dtype=bool)",
        CALIBRATION,
    ),
    Mutant(
        "the operating point favours one class",
        "evaluation/operating_point.py",
        "apart = np.abs(1 - below[0] - below[1])",
        "apart = np.abs(1 - below[0] - 2 * below[1])",
        OPERATING_POINT,
    ),
    Mutant(
        "the lowest of equal operating points",
        "evaluation/operating_point.py",
        "cuts[apart <= apart.min() + 1e-12].mean()",
        "cuts[apart.argmin()]",
        OPERATING_POINT,
    ),
    Mutant(
        "large domains weigh more in the operating point",
        "evaluation/operating_point.py",
        "np.minimum(figures, SMALL_DOMAIN)[order] / figures[order]",
        "np.ones(len(order))",
        OPERATING_POINT,
    ),
    Mutant(
        "a domain of one figure weighs as much as any in the operating point",
        "evaluation/operating_point.py",
        "np.minimum(figures, SMALL_DOMAIN)[order] / figures[order]",
        "1 / figures[order]",
        OPERATING_POINT,
    ),
    Mutant(
        "the refer band forgets the + 1",
        "evaluation/refer_band.py",
        "allowed = risk * (self.cases + 1) - 1",
        "allowed = risk * self.cases",
        REFER_BAND,
    ),
    Mutant(
        "the refer band counts figures, not cases",
        "evaluation/refer_band.py",
        "below = _Tail.of(logits[atypical], clusters[atypical])",
        "below = _Tail.of(logits[atypical], np.arange(atypical.sum()).astype(object))",
        REFER_BAND,
    ),
    Mutant(
        "the refer band may refer every figure",
        "evaluation/refer_band.py",
        "while share > most and raised < 1.0:",
        "while False:",
        REFER_BAND,
    ),
    Mutant(
        "seeds are not resampled",
        "evaluation/comparison.py",
        "mean = np.take_along_axis(resampled, drawn, axis=0).mean(axis=0)",
        "mean = resampled.mean(axis=0)",
        COMPARISON,
    ),
    Mutant(
        "arms are resampled apart",
        "evaluation/comparison.py",
        "for key, statistic in statistics.items():\n            # Not defined",
        "for key, statistic in statistics.items():\n"
        "            weights = np.random.default_rng(abs(hash(key))).permutation(weights)\n"
        "            # Not defined",
        COMPARISON,
    ),
    Mutant(
        "the learning rate is constant",
        "training/stepper.py",
        'group["lr"] = group["peak"] * factor',
        'group["lr"] = group["peak"]',
        ("training/test_stepper.py::test_the_learning_rate_rises_and_falls_to_nothing",),
    ),
    Mutant(
        "gradients are not clipped",
        "training/stepper.py",
        "max_norm=recipe.schedule.clip",
        "max_norm=1e9",
        ("training/test_every_key.py::test_a_key_changes_the_weights[schedule.clip]",),
    ),
    Mutant(
        "weights of every kind decay",
        "training/stepper.py",
        "schedule.weight_decay if parameter.ndim > 1 else 0.0",
        "schedule.weight_decay",
        ("training/test_stepper.py::test_heads_learn_at_their_own_rates_and_biases_do_not_decay",),
    ),
    Mutant(
        "heads learn at the backbone's rate",
        "training/stepper.py",
        "rate = schedule.head_learning_rate if head else schedule.learning_rate",
        "rate = schedule.learning_rate",
        ("training/test_stepper.py::test_heads_learn_at_their_own_rates_and_biases_do_not_decay",),
    ),
    Mutant(
        "the domain head learns at the usual rate",
        "training/stepper.py",
        "rate *= factors.get(name, 1.0)",
        "rate *= 1.0",
        ("training/test_stepper.py::test_heads_learn_at_their_own_rates_and_biases_do_not_decay",),
    ),
    Mutant(
        "labels are not smoothed",
        "training/figures.py",
        "(target * (1 - 2 * labels.smoothing) + labels.smoothing)",
        "target",
        ("training/test_every_key.py::test_a_key_changes_the_weights[soft_labels.smoothing]",),
    ),
    Mutant(
        "the head has no dropout",
        "training/network.py",
        "dropout = recipe.head.dropout",
        "dropout = 0.0",
        ("training/test_every_key.py::test_a_key_changes_the_weights[head.dropout]",),
    ),
    Mutant(
        "losses are not weighted",
        "training/stepper.py",
        "{name: loss.weight for name, loss in self._recipe.losses()}",
        "{name: 1.0 for name, loss in self._recipe.losses()}",
        ("contracts/test_components.py::test_a_loss_counts_by_its_weight",),
    ),
    Mutant(
        "the gradient of the domain head is not reversed",
        "training/components/domain_adversarial.py",
        "reverse_gradient(embedding, reversal_strength(done))",
        "reverse_gradient(embedding, 0.0)",
        ("training/components/test_domain_adversarial.py",),
    ),
    Mutant(
        "class and domain balance are swapped",
        "training/loop.py",
        "class_balance=recipe.sampling.class_balance,\n"
        "            domain_balance=recipe.sampling.domain_balance,",
        "class_balance=recipe.sampling.domain_balance,\n"
        "            domain_balance=recipe.sampling.class_balance,",
        ("training/test_every_key.py::test_class_and_domain_balance_act_on_what_they_name",),
    ),
    Mutant(
        "gradient checkpointing is never on",
        "training/stepper.py",
        "if recipe.schedule.gradient_checkpointing:",
        "if False:",
        ("training/test_stepper.py::test_gradient_checkpointing_is_switched_on",),
    ),
    Mutant(
        "a member's identity forgets the backbone's weights",
        "workflows/training/fit.py",
        "weights=weights.sha256,",
        "weights=None,",
        ("workflows/training/test_fit.py",),
    ),
    Mutant(
        "a member's identity forgets the figures to adapt to",
        "workflows/training/fit.py",
        "adapt_to=adapt_to,\n",
        "adapt_to=None,\n",
        ("workflows/training/test_fit.py",),
    ),
    Mutant(
        "a member's identity forgets its teachers",
        "workflows/training/fit.py",
        "teachers=teachers,\n        )",
        "teachers=None,\n        )",
        ("workflows/training/test_teachers.py",),
    ),
    Mutant(
        "teachers have seen what is held out",
        "workflows/training/teachers.py",
        "if ids.issuperset(held_out)]",
        "if not ids.issuperset(held_out)]",
        ("workflows/training/test_teachers.py",),
    ),
    Mutant(
        "votes count in full beside the teachers",
        "training/components/distillation.py",
        "(1 - share) * target",
        "target",
        ("training/components/test_distillation.py",),
    ),
    Mutant(
        "teachers see other crops than the student where they are mixed",
        "training/stepper.py",
        "recipe.mixup.alpha, rng, *seen, *labels",
        "0.0, rng, *seen, *labels",
        ("training/components/test_distillation.py",),
    ),
    Mutant(
        "the prevalence of a domain is added with the wrong sign",
        "training/components/sampling.py",
        "(strength * offsets[domain])",
        "(-strength * offsets[domain])",
        ("training/components/test_sampling.py",),
    ),
    Mutant(
        "hard negatives are forgotten after every epoch",
        "training/components/hard_negatives.py",
        "momentum * self.score + (1 - momentum) * p",
        "p",
        ("training/components/test_hard_negatives.py",),
    ),
)


def main() -> int:
    """Try the mutants; 1 if one survives."""
    asked = _arguments()
    chosen = [mutant for mutant in MUTANTS if asked.only in mutant.name]
    lines = []
    for mutant in chosen:
        killer = _first_failure(mutant)
        lines.append({"mutant": mutant.name, "file": mutant.path, "killed_by": killer})
        print(f"{'killed' if killer else 'SURVIVED'}: {mutant.name} ({killer})", flush=True)
    killed = sum(bool(line["killed_by"]) for line in lines)
    print(f"{killed} of {len(lines)} killed")
    if not asked.only:
        RESULTS.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return int(killed < len(lines))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", default="", metavar="WORDS", help="mutants with this in the name")
    return parser.parse_args()


def _first_failure(mutant: Mutant) -> str:
    """Return the test that fails on a mutant, "" where none does."""
    with tempfile.TemporaryDirectory(prefix="atypia-mutant-") as name:
        package = Path(name) / "src" / "atypia"
        shutil.copytree(ROOT / "src" / "atypia", package)
        for folder in ("recipes", "bundles"):  # a checkout has them beside src
            (Path(name) / folder).symlink_to(ROOT / folder)
        file = package / mutant.path
        file.write_text(mutated(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
        return _failing_test(mutant.tests, package.parent)


def mutated(mutant: Mutant, text: str) -> str:
    """Return a file's text with the fault in it.

    Raises:
        SystemExit: the text that it replaces does not stand there once.
    """
    if text.count(mutant.old) != 1:
        raise SystemExit(
            f"{mutant.path}: {mutant.old!r} stands there {text.count(mutant.old)} times, "
            f"expected once; mend the mutant {mutant.name!r}"
        )
    return text.replace(mutant.old, mutant.new)


def _failing_test(tests: Sequence[str], source: Path) -> str:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-rf"),
            *(str(ROOT / "tests" / test) for test in tests),
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}")
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    if done.returncode and not failed:
        raise SystemExit(f"pytest named no test:\n{done.stdout[-2000:]}")
    return failed[0].split()[1] if failed else ""


if __name__ == "__main__":
    sys.exit(main())
