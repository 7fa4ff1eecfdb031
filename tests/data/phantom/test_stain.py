from __future__ import annotations

import numpy as np
import pytest

from atypia.data.phantom.stain import Stains, transmit_light

STAINS = Stains((0.65, 0.70, 0.29), (0.07, 0.99, 0.11))


@pytest.mark.parametrize("amounts", [(1.3, 0.0), (0.0, 0.8)])
def test_a_pure_stain_gives_its_densities_back(amounts: tuple[float, float]) -> None:
    h, e = (np.full((4, 5), amount, np.float32) for amount in amounts)
    density = -np.log(transmit_light(h, e, STAINS))
    vector = np.array(STAINS.haematoxylin if amounts[0] else STAINS.eosin)
    expected = max(amounts) * vector / np.linalg.norm(vector)
    assert density.shape == (4, 5, 3)
    np.testing.assert_allclose(density, np.broadcast_to(expected, density.shape), rtol=1e-4)


def test_densities_of_two_stains_add_up() -> None:
    rng = np.random.default_rng(0)
    h, e = rng.uniform(0, 2, (2, 6, 6)).astype(np.float32)
    none = np.zeros_like(h)
    both = transmit_light(h, e, STAINS)
    np.testing.assert_allclose(
        both, transmit_light(h, none, STAINS) * transmit_light(none, e, STAINS), rtol=1e-5
    )
    assert np.array_equal(transmit_light(none, none, STAINS), np.ones((6, 6, 3), np.float32))
