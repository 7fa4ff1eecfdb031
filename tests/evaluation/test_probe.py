"""The probe for the domain: what is in an embedding is found, and cases are never divided."""

from __future__ import annotations

import numpy as np
import pytest

from atypia.evaluation.probe import probe_domains

CASE = np.repeat([f"c{number}" for number in range(18)], 10).astype(object)
DOMAIN = np.repeat(np.arange(18) % 3, 10)


def _noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(len(CASE), 6)).astype(np.float32)


def test_a_planted_domain_is_found_and_noise_is_near_chance() -> None:
    planted = _noise()
    planted[:, 0] += 8 * DOMAIN
    accuracy, chance = probe_domains(planted, DOMAIN, CASE)
    assert chance == pytest.approx(1 / 3)
    assert accuracy > 0.95
    accuracy, _ = probe_domains(_noise(), DOMAIN, CASE)
    assert abs(accuracy - chance) < 0.15


def test_what_only_tells_cases_apart_tells_no_domain() -> None:
    # Were figures of a case on both sides of a fold, this embedding would name every domain.
    centres = np.random.default_rng(1).normal(size=(18, 6)) * 20
    accuracy, chance = probe_domains(
        (np.repeat(centres, 10, axis=0) + _noise()).astype(np.float32), DOMAIN, CASE
    )
    assert accuracy < chance + 0.3


def test_a_domain_of_too_few_cases_is_left_out_and_one_domain_has_no_probe() -> None:
    domain = np.where(DOMAIN == 2, 1, DOMAIN)
    domain[:20] = 5  # of two cases
    _, chance = probe_domains(_noise(), domain, CASE)
    assert chance == 0.5
    assert probe_domains(_noise(), np.zeros_like(DOMAIN), CASE) is None
