"""The columns of a figure table: their names, their values, and how absent values are written."""

from __future__ import annotations

import re
from collections.abc import Iterable
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
#: Columns with a meaning that are not part of every figure table.
OPTIONAL_COLUMNS = ("phase_1", "phase_2", "split", "fold", "mpp_source", "review")
VOTE_PREFIX = "vote_"
UNKNOWN = "unknown"

MPP_LOW, MPP_HIGH = 0.05, 5.0

#: "true" and "false" in the words of spreadsheets in English, German, French, Italian, Spanish,
#: Portuguese and Dutch, and of those who save them; a column of floats writes 1.0 (or 1,0).
TRUE_WORDS = (
    *("1", "1.0", "1,0", "true", "yes"),
    *("wahr", "vrai", "vero", "verdadero", "verdadeiro", "waar"),
)
FALSE_WORDS = (
    *("0", "0.0", "0,0", "false", "no"),
    *("falsch", "faux", "falso", "onwaar"),
)
#: Words for a vote, a label or a call, in lower case, and their meaning.
ANSWERS = {
    **dict.fromkeys((*TRUE_WORDS, "amf", "atypical"), 1.0),
    **dict.fromkeys((*FALSE_WORDS, "nmf", "normal"), 0.0),
    "": np.nan,
}
#: What a spreadsheet writes into a cell whose formula failed, in English and German.
FORMULA_ERRORS = (
    *("#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#CALC!"),
    *("#NV", "#BEZUG!", "#WERT!", "#ZAHL!", "#ÜBERLAUF!"),
)
_DECIMAL_COMMA = r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?"
_THOUSANDS = r"[+-]?[1-9]\d{0,2}(?:,\d{3})+"


# Beyond it, one float stands for several integers.
_MOST_EXACT = 2**53


def vote_names(columns: pd.Index) -> list[str]:
    """Return the names that begin with `vote_`, in the table's order."""
    return [name for name in map(str, columns) if name.startswith(VOTE_PREFIX)]


def as_text(values: pd.Series) -> pd.Series:
    """Return `values` as stripped strings of dtype object; None and NaN become "".

    Whole numbers that were read as floats, as a gap in a column of integers makes them, are
    written without ".0".
    """
    present = values.notna()
    if pd.api.types.is_float_dtype(values):
        numbers = values[present].astype("float64")  # float16 does not reach _MOST_EXACT
        if ((numbers % 1 == 0) & (numbers.abs() < _MOST_EXACT)).all():
            values = values.astype("Int64")
    text = values.astype(object).where(present, "").map(lambda value: str(value).strip())
    return text.astype(object)


def as_ids(text: pd.Series) -> pd.Series:
    """Return ids, without the ".0" of a column that was all integers and became floats."""
    named = text[text != ""]
    if len(named) and named.str.fullmatch(r"\d+\.0").all():
        return text.str.removesuffix(".0")
    return text


def as_numbers(text: pd.Series) -> pd.Series:
    """Return text as float64; NaN for "" and anything that is not a number.

    A comma is a decimal sign unless the column contradicts it: a value also has a point, or every
    comma stands before three digits, as in 12,345.
    """
    comma = text.str.fullmatch(_DECIMAL_COMMA)
    if comma.any() and not (
        text[comma].str.fullmatch(_THOUSANDS).all() or text.str.contains(".", regex=False).any()
    ):
        text = text.where(~comma, text.str.replace(",", "."))
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


def match_names(header: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """Match columns in another spelling to known names.

    Case is ignored, and "Figure ID" and "figure-id" are figure_id. Where a column has the known
    name itself, others that spell it differently keep their names.

    Args:
        header: the names in a table.
        known: the names asked for; names that begin with `vote_` are known as well.

    Returns:
        Their name -> our name; two of theirs may be one of ours.
    """
    present, known_set = set(header), set(known)
    matches = {}
    for name in present - known_set:
        ours = re.sub(r"[\s_-]+", "_", name.strip().lower())
        if (ours in known_set or name.lower().startswith(VOTE_PREFIX)) and ours not in present:
            matches[name] = ours
    return matches


def list_names(names: Iterable[str], most: int = 20) -> str:
    """Return names for a message: the first `most` and how many more there are."""
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return (", ".join(texts[:most]) or "none") + more
