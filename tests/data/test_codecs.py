from __future__ import annotations

import warnings

import pytest

from atypia.data.codecs import silence_warnings


def test_warnings_are_silent_inside_and_heard_again_after() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with silence_warnings():
            warnings.warn("a very large image", stacklevel=1)
        with pytest.raises(UserWarning, match="large"):
            warnings.warn("a very large image", stacklevel=1)
