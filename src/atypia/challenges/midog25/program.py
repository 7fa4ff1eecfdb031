"""The program of MIDOG 2025, track 2: a stack of crops in, the challenge's answers out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from atypia.bundle.manifest import MANIFEST_NAME
from atypia.challenges.midog25.answers import ANSWERS_NAME, write_answers
from atypia.challenges.midog25.stack import find_stack, stack_figures
from atypia.data.predictions import CALLS
from atypia.evaluation.calibration import Calibration
from atypia.files import remove_partials, require_outputs
from atypia.inference.options import PredictOptions
from atypia.inference.predictor import Predictor
from atypia.inference.sources import require_mpp

_log = logging.getLogger(__name__)

#: Where a container holds a bundle: uploaded apart from it, and built into it.
BUNDLE_FOLDERS = (Path("/opt/ml/model"), Path("/opt/atypia/bundle"))


@dataclass(frozen=True)
class StackResult:
    """The answers to a stack.

    Attributes:
        path: of the answers.
        pages: in the stack, and entries in the answers.
        atypical: of these, called atypical.
        unread: pages that could not be used, whose entries do not come from their pixels.
    """

    path: Path
    pages: int
    atypical: int
    unread: int


def answer_stack(
    folder: Path | str,
    out: Path | str,
    *,
    bundle: Path | str | None = None,
    mpp: float = 0.25,
    overwrite: bool = False,
) -> StackResult:
    """Classify the pages of the one stack below a folder.

    Every page has an entry, in order. That of a page which cannot be used holds what is known
    without its pixels: the share of atypical figures in training as P(atypical), and the call that
    follows from it.

    Args:
        folder: as the challenge hands it over (see `find_stack`).
        out: folder for the answers.
        bundle: its folder; none takes the one in the container, or that which comes with atypia.
        mpp: um/px of every page, in 0.05..5.
        overwrite: replace answers that lie there and that atypia did not write.

    Raises:
        AtypiaError: the input, the bundle or an argument is faulty, or the answers cannot be
            written.
    """
    require_mpp(mpp)
    path = Path(out) / ANSWERS_NAME
    stack = find_stack(Path(folder))
    require_outputs([path], overwrite=overwrite)
    remove_partials(path)
    options = PredictOptions(bundle=_find_bundle() if bundle is None else Path(bundle))
    predictor = Predictor.load(options=options)
    answers: dict[int, tuple[str, float]] = {}
    unread = 0
    for scored in predictor.stream(stack_figures(stack, mpp)):
        rows = scored.frame
        calls = zip(rows["call"].tolist(), rows["p_atypical"].tolist(), strict=True)
        answers |= dict(zip(map(int, rows["figure_id"]), calls, strict=True))
        for failure in scored.failures:
            answers[int(failure.figure_id)] = _answer_unseen(predictor.calibration)
            _log.warning(failure.message)
        unread += len(scored.failures)
    write_answers(path, [answers[page] for page in sorted(answers)])
    atypical = sum(call == CALLS[1] for call, _ in answers.values())
    return StackResult(path, len(answers), atypical, unread)


def _find_bundle() -> Path | None:
    folders = (folder for folder in BUNDLE_FOLDERS if (folder / MANIFEST_NAME).is_file())
    return next(folders, None)


def _answer_unseen(calibration: Calibration) -> tuple[str, float]:
    """Return the answer to a page that cannot be used.

    Where the bundle does not know its prevalence, P(atypical) is its operating point, at which the
    call is normal.
    """
    known = calibration.prevalence
    p = calibration.operating_point if known is None else known
    return CALLS[int(calibration.call(p))], p
