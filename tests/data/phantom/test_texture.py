from __future__ import annotations

import numpy as np

from atypia.data.phantom.texture import draw_textures


def test_each_field_is_standardised_and_as_coarse_as_it_is_called() -> None:
    bank = draw_textures(np.random.default_rng(0), 0.25, 128)
    # How alike neighbours 1 um apart are grows with the size of the grain.
    alike = []
    for field in (bank.fine, bank.medium, bank.coarse):
        assert abs(field.mean()) < 1e-3 and abs(field.std() - 1) < 1e-3
        alike.append(float((field * np.roll(field, 4, axis=1)).mean()))
    assert alike[0] < 0.2 < alike[1] < 0.9 < alike[2]
    along, across = (float((bank.fibres * np.roll(bank.fibres, 4, axis=a)).mean()) for a in (1, 0))
    assert along > 0.9, "fibres run along the rows"
    assert across < 0.2


def test_windows_of_a_field_differ_and_keep_its_values() -> None:
    rng = np.random.default_rng(0)
    bank = draw_textures(rng, 0.25, 64)
    first, second = (bank.cut(rng, "coarse", 64) for _ in range(2))
    assert first.shape == second.shape == (64, 64) and not np.array_equal(first, second)
    assert np.isin(first, bank.coarse).all()
