"""Runs that an earlier version began: their folder is taken over, and nothing is trained anew.

Up to commit df4fd96 a member was identified by a hash of every setting of the recipe, of the whole
table's text, and of nothing of the images; no note was kept of which files atypia had written.
"""

from __future__ import annotations

import hashlib
import json
import logging
from itertools import count
from pathlib import Path
from typing import Any

from atypia.errors import RecipeError
from atypia.files import is_ours
from atypia.fingerprint import ImageHashes
from atypia.training.backbone_weights import BackboneWeights
from atypia.training.checkpoint import read_checkpoint, save_checkpoint
from atypia.training.member import CHECKPOINT, kept_identity, rename_identity
from atypia.training.recipe_file import read_toml
from atypia.workflows.training.fit import identities_of
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.plan import Scheme, TrainingPlan

_log = logging.getLogger(__name__)


def take_over(plan: TrainingPlan, folder: RunFolder, weights: BackboneWeights) -> None:
    """Make a folder whose members an earlier version trained by this very plan one of this version.

    Members and checkpoints get the identity that this version knows them by; results, which the
    user may have changed since, are moved into a folder of their own. A folder with nothing of this
    plan in it stays as it is.

    Args:
        plan: which members are trained, on what.
        folder: of the run.
        weights: the backbone's published ones.

    Raises:
        AtypiaError: what lies there is damaged, or cannot be written.
    """
    settings = _written_settings(folder.recipe)
    if settings is None:
        return
    earlier = {
        name: _earlier_identity(plan, scheme, settings, weights)
        for name, scheme in plan.schemes.items()
    }
    places = [(folder.member(member), member.scheme) for member in plan.members]
    trained = [(at, name) for at, name in places if kept_identity(at) == earlier[name]]
    begun = [(at, name) for at, name in places if _begun(at) == earlier[name]]
    if not trained and not begun:
        return
    hashes = ImageHashes(folder.image_hashes)
    identities = identities_of(plan, weights, hashes)
    kept_in = _move_results(folder)
    folder.note_begun(plan.recipe)
    for place, scheme in trained:
        rename_identity(place, identities[scheme])
    for place, scheme in begun:
        state = read_checkpoint(place / CHECKPOINT)
        if state is not None:
            save_checkpoint(place / CHECKPOINT, state | {"identity": identities[scheme]})
    hashes.keep()
    results = "" if kept_in is None else f"; its results are kept in {kept_in}"
    _log.info(
        "an earlier version of atypia began this training and did not record the images: "
        "whether they have changed since could not be checked%s",
        results,
    )


def _written_settings(recipe: Path) -> dict[str, Any] | None:
    """Return all settings as an earlier version wrote them, in its order; none where it has not."""
    try:
        values = read_toml(recipe) if recipe.is_file() else {}
    except RecipeError:
        return None
    sections = {name: dict(part) for name, part in values.items() if isinstance(part, dict)}
    if "adapter" not in sections:
        return None
    sections["adapter"].setdefault("target", None)  # TOML cannot say that it is none
    sections.pop("card", None)
    plain = {name: value for name, value in values.items() if not isinstance(value, dict)}
    return plain | {
        f"{section}.{name}": value
        for section, part in sections.items()
        for name, value in part.items()
    }


def _earlier_identity(
    plan: TrainingPlan, scheme: Scheme, settings: dict[str, Any], weights: BackboneWeights
) -> str:
    """Return what an earlier version called the members of a scheme, 64 hexadecimal digits."""
    text = json.dumps(settings, default=str) + plan.table.frame.to_csv(index=False)
    if plan.adapt_to is not None:
        text += plan.adapt_to.frame.to_csv(index=False)
    text += weights.sha256
    folds = scheme.part_of.tobytes()
    return hashlib.sha256(text.encode(errors="replace") + folds).hexdigest()


def _begun(place: Path) -> str | None:
    state = read_checkpoint(place / CHECKPOINT)
    return None if state is None else str(state["identity"])


def _move_results(folder: RunFolder) -> Path | None:
    """Move results that no note says are atypia's into a new folder; return it, none if no result.

    They may hold changes of the user, which nothing could tell.
    """
    results = [path for path in folder.results if path.is_file() and not is_ours(path)]
    results += [folder.bundle] if folder.bundle.is_dir() else []
    if not results:
        return None
    names = ("earlier" if number == 1 else f"earlier-{number}" for number in count(1))
    place = next(path for path in map(folder.path.joinpath, names) if not path.exists())
    place.mkdir()
    for path in results:
        path.rename(place / path.name)
    return place
