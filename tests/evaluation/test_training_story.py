"""The story of a training in plain values."""

from __future__ import annotations

from atypia.evaluation.probe import DomainProbe
from atypia.evaluation.training_story import TrainingStory


def test_the_mean_probe_is_over_the_folds_that_have_one() -> None:
    story = TrainingStory({"a": DomainProbe(0.8, 0.4, 0.2), "b": DomainProbe(0.6, 0.2, 0.2)})
    mean = story.mean_probe
    assert (round(mean.before, 9), round(mean.after, 9), mean.chance) == (0.7, 0.3, 0.2)
    assert TrainingStory().mean_probe is None
