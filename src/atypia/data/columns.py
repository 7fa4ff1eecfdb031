"""The columns of a figure table: their names, what they may hold, and what stands for "absent"."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import PurePosixPath, PureWindowsPath

import numpy as np
import pandas as pd

DOMAIN_COLUMNS = ("tumour", "scanner", "laboratory", "species")
NUMBER_COLUMNS = ("x", "y", "mpp")
TEXT_COLUMNS = ("figure_id", "image", "slide", "case", "phase")
#: Every column of the figure table except the experts' votes, in the order they are written.
COLUMNS = (
    "figure_id",
    "image",
    "slide",
    "case",
    "x",
    "y",
    "mpp",
    *DOMAIN_COLUMNS,
    "label",
    "phase",
)
#: Columns with a meaning that a table may leave out altogether.
OPTIONAL_COLUMNS = ("phase_1", "phase_2", "split", "fold", "mpp_source")
VOTE_PREFIX = "vote_"
UNKNOWN = "unknown"

MPP_LOW, MPP_HIGH = 0.05, 5.0

_ATYPICAL = ("1", "1.0", "true", "yes", "amf", "atypical")
_NORMAL = ("0", "0.0", "false", "no", "nmf", "normal")
#: What a vote or a label may say, in lower case, and what it means.
ANSWERS = {
    **dict.fromkeys(_ATYPICAL, 1.0),
    **dict.fromkeys(_NORMAL, 0.0),
    "": np.nan,
}


def vote_names(columns: pd.Index) -> list[str]:
    """Return the names that begin with `vote_`, in the table's order."""
    return [name for name in map(str, columns) if name.startswith(VOTE_PREFIX)]


def as_text(values: pd.Series) -> pd.Series:
    """Return `values` as stripped strings of dtype object; None and NaN become ""."""
    present = values.notna()
    text = values.astype(object).where(present, "").map(lambda value: str(value).strip())
    return text.astype(object)


def as_numbers(text: pd.Series) -> pd.Series:
    """Return text as float64; "" and what is no number become NaN, "inf" becomes infinity."""
    return pd.to_numeric(text.where(text != ""), errors="coerce").astype("float64")


def as_answers(text: pd.Series) -> pd.Series:
    """Return votes or labels as float64: 1.0 atypical, 0.0 normal, NaN absent or not understood."""
    return text.str.lower().map(ANSWERS).astype("float64")


def leaves_folder(relative: str) -> bool:
    """Tell whether an image path is absolute (POSIX or Windows), climbs by "..", or none at all."""
    windows = PureWindowsPath(relative)
    return (
        "\0" in relative
        or PurePosixPath(relative).is_absolute()
        or bool(windows.drive)
        or relative.startswith("\\")
        or ".." in windows.parts
    )


def nearest(name: str, names: list[str]) -> str:
    """Return " (did you mean NAME?)" for the nearest of `names`, or "" if none is near."""
    close = get_close_matches(name.lower(), {known.lower(): known for known in names}, n=1)
    by_lower = {known.lower(): known for known in names}
    return f" (did you mean {by_lower[close[0]]}?)" if close else ""
