"""Domains: combinations of tumour, scanner, laboratory and species."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from atypia.data.columns import DOMAIN_COLUMNS, UNKNOWN

#: What a table may say for "unknown", as `spelling_keys` puts it; "" is nothing but punctuation.
_UNKNOWN_KEYS = frozenset({"unknown", "na", "nan", "null", ""})
_NAMED = 4


def domain_names(frame: pd.DataFrame) -> npt.NDArray[Any]:
    """Return the domain of every figure, shape (N,), dtype object holding str.

    A name is the known parts, in the order tumour, scanner, laboratory, species, joined by ", ";
    it is "unknown" where no part is known.
    """
    parts = frame[list(DOMAIN_COLUMNS)]
    distinct = parts.drop_duplicates()
    named = {
        tuple(row): ", ".join(part for part in row if part != UNKNOWN) or UNKNOWN
        for row in distinct.itertuples(index=False)
    }
    names = [named[tuple(row)] for row in parts.itertuples(index=False)]
    return np.array(names, dtype=object)


def short_domain_names(names: Sequence[str]) -> dict[str, str]:
    """Return each domain's name without the parts that all domains share.

    Args:
        names: distinct names, parts joined by ", " as `domain_names` makes them.

    Returns:
        Name to short name; the whole name where nothing else would remain.
    """
    shared = set(shared_domain_parts(names))
    return {
        name: ", ".join(part for part in name.split(", ") if part not in shared) or name
        for name in names
    }


def shared_domain_parts(names: Sequence[str]) -> list[str]:
    """Return the parts that all of several domains share, in order; none of a single domain."""
    parts = [name.split(", ") for name in names]
    if len(parts) < 2:
        return []
    return [part for part in parts[0] if all(part in own for own in parts[1:])]


def unite_spellings(values: pd.Series) -> tuple[pd.Series, list[str]]:
    """Write each value of a part of the domain in one spelling.

    Values are one where they differ in capitals, blanks, punctuation or the order of words alone
    (`spelling_keys`). The spelling of most figures is taken, and of equals the first.

    Args:
        values: str, of one of the domain's columns.

    Returns:
        The values, and for a message each group of several spellings, in words.
    """
    counts = values.value_counts(sort=False)
    united: dict[str, str] = {}
    groups = []
    for group in group_spellings(map(str, counts.index)):
        if any(spelling_keys(name) & _UNKNOWN_KEYS for name in group):
            name = UNKNOWN
        else:
            name = max(group, key=lambda spelt: int(counts[spelt]))
        united |= dict.fromkeys(group, name)
        others = [spelt for spelt in group if spelt != name and spelt.lower() != UNKNOWN]
        if others:
            spelt = ", ".join(f"{other!r} ({counts[other]})" for other in others[:_NAMED])
            more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
            groups.append(f"{spelt}{more} as {name!r}")
    return values.map(united), groups


def spell_as(name: str, known: Iterable[str]) -> str:
    """Return the first of `known` that names the same thing (`spelling_keys`), or `name`."""
    keys = spelling_keys(name)
    return next((other for other in known if keys & spelling_keys(other)), name)


def spell_alike(frame: pd.DataFrame, model: pd.DataFrame) -> pd.DataFrame:
    """Return a figure table's frame with its domains spelt as in another one, `model`."""
    return frame.assign(
        **{
            part: frame[part].map(
                {name: spell_as(name, model[part].unique()) for name in frame[part].unique()}
            )
            for part in DOMAIN_COLUMNS
        }
    )


def group_spellings(names: Iterable[str]) -> list[list[str]]:
    """Return distinct names in groups that name the same thing (see `spelling_keys`), in order."""
    groups: list[list[str]] = []
    home: dict[str, list[str]] = {}
    for name in names:
        keys = spelling_keys(name)
        joined = [group for group in groups if any(home.get(key) is group for key in keys)]
        first, *others = joined or [[]]
        if not joined:
            groups.append(first)
        for other in others:  # the name is near to both
            first += other
            groups.remove(other)
        first.append(name)
        for spelt in first:
            home |= dict.fromkeys(spelling_keys(spelt), first)
    return groups


def spelling_keys(name: str) -> frozenset[str]:
    """Return what is left of a name without capitals, blanks, punctuation and order of words.

    Names with a key in common name the same thing. What may tell things apart stays: a mark
    between two digits (site 1-1, site 11), mathematical signs (HER2+, HER2-), and the order of
    words where one of them is a number or a single letter (lab 1 2, lab 2 1).

    Returns:
        The words in their order, and sorted, each joined.
    """
    plain = unicodedata.normalize("NFKC", name).casefold()
    plain = re.sub(r"(?<=[^\W_])-(?![^\W_\s])", "\N{MINUS SIGN}", plain)  # ER-/PR+
    words = "".join(
        sign if sign.isalnum() or unicodedata.category(sign) in ("Sm", "Mn", "Mc") else " "
        for sign in plain
    ).split()
    orders = [words]
    if all(len(word) > 1 and not word.isdigit() for word in words):
        orders.append(sorted(words))
    return frozenset(re.sub(r"(?<!\d) | (?!\d)", "", " ".join(order)) for order in orders)
