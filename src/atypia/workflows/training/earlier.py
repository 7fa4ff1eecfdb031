"""Take over the folder of a run that an earlier version began, without training anew.

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
from atypia.training.member import CHECKPOINT, read_identity, replace_identity
from atypia.training.recipe_file import read_toml
from atypia.workflows.training.fit import compute_identities
from atypia.workflows.training.folder import RunFolder
from atypia.workflows.training.plan import Scheme, TrainingPlan

_log = logging.getLogger(__name__)


def take_over(plan: TrainingPlan, folder: RunFolder, weights: BackboneWeights) -> None:
    """Convert a folder with members that an earlier version trained by this very plan.

    Members and checkpoints get the identity of this version; results, which the user may have
    changed, are moved into a subfolder. A folder without anything of this plan stays as it is.

    Args:
        plan: which members are trained, on what.
        folder: of the run.
        weights: the backbone's published ones.

    Raises:
        AtypiaError: a file there is damaged, or cannot be written.
    """
    settings = _written_settings(folder.recipe)
    if settings is None:
        return
    earlier = {
        name: _earlier_identity(plan, scheme, settings, weights)
        for name, scheme in plan.schemes.items()
    }
    places = [(folder.member(member), member.scheme) for member in plan.members]
    trained = [(at, name) for at, name in places if read_identity(at) == earlier[name]]
    begun = [(at, name) for at, name in places if _checkpoint_identity(at) == earlier[name]]
    if not trained and not begun:
        return
    hashes = ImageHashes(folder.image_hashes)
    identities = compute_identities(plan, weights, hashes)
    moved_to = _move_results(folder)
    folder.note_start(plan.recipe)
    for place, scheme in trained:
        replace_identity(place, identities[scheme])
    for place, scheme in begun:
        state = read_checkpoint(place / CHECKPOINT)
        if state is not None:
            save_checkpoint(place / CHECKPOINT, state | {"identity": identities[scheme]})
    hashes.keep()
    results = "" if moved_to is None else f"; its results are now in {moved_to}"
    _log.info(
        "an earlier version of atypia began this training and did not record its images, so "
        "changes in them could not be checked%s",
        results,
    )


def _written_settings(recipe: Path) -> dict[str, Any] | None:
    """Return all settings as an earlier version wrote them, in its order; None if it did not."""
    try:
        values = read_toml(recipe) if recipe.is_file() else {}
    except RecipeError:
        return None
    sections = {name: dict(part) for name, part in values.items() if isinstance(part, dict)}
    if "adapter" not in sections:
        return None
    sections["adapter"].setdefault("target", None)  # TOML cannot write None
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
    """Return the identity of a scheme's members in an earlier version, 64 hexadecimal digits."""
    text = json.dumps(settings, default=str) + plan.table.frame.to_csv(index=False)
    if plan.adapt_to is not None:
        text += plan.adapt_to.frame.to_csv(index=False)
    text += weights.sha256
    folds = scheme.part_of.tobytes()
    return hashlib.sha256(text.encode(errors="replace") + folds).hexdigest()


def _checkpoint_identity(place: Path) -> str | None:
    state = read_checkpoint(place / CHECKPOINT)
    return None if state is None else str(state["identity"])


def _move_results(folder: RunFolder) -> Path | None:
    """Move results that are not noted as atypia's into a new folder; return it, None without any.

    They may hold changes by the user.
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
