"""A Ray cluster that cannot do the work is refused at once.

That its results are those of one process, a killed worker included: `test_slides.py`, beside the
undisturbed run that it is compared with.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from atypia.errors import AtypiaError
from atypia.workflows import slides_on_ray
from atypia.workflows.slides_on_ray import on_ray


def test_an_address_that_does_not_answer_is_refused_at_once() -> None:
    pytest.importorskip("ray", reason="the extra ray is not installed")
    job: Any = None
    begun = time.monotonic()
    for address in ("127.0.0.1:9", "ray://127.0.0.1:9"):
        with pytest.raises(AtypiaError, match=rf"ray cluster {address}: nobody answers there"):
            next(on_ray(address)(job, []))
    assert time.monotonic() - begun < slides_on_ray.ANSWER_S


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slides_on_ray, "find_spec", lambda _: None)
    with pytest.raises(AtypiaError, match=r"pip install 'atypia\[ray\]'"):
        on_ray("auto")
