"""atypia: tell atypical from normal mitotic figures in H&E histology.

    import atypia

    predictor = atypia.load()  # the bundle that comes with atypia, or the folder of another
    table = predictor.predict(["a.png", "b.png"], mpp=0.25)  # a data frame, one row a figure

Names below are imported when they are first used, so that `import atypia` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from atypia.extras import missing_extra
from atypia.offline import switch_off_reports
from atypia.version import __version__

if TYPE_CHECKING:
    from atypia.data.audit import audit
    from atypia.data.describe import describe
    from atypia.data.readers.open_figures import open_figures
    from atypia.data.table import FigureTable, figures_from_frame
    from atypia.errors import AtypiaError
    from atypia.evaluation.calibration import Calibration
    from atypia.evaluation.judge import Judgement
    from atypia.inference.options import PredictOptions
    from atypia.inference.predictor import Predictor, load
    from atypia.study.agreement import measure_study
    from atypia.study.create import create_study
    from atypia.study.study import Study
    from atypia.training.recipe import Recipe
    from atypia.training.recipe_file import read_recipe
    from atypia.workflows.ablate import ablate
    from atypia.workflows.embed import embed
    from atypia.workflows.evaluate import evaluate
    from atypia.workflows.label_points import label_points
    from atypia.workflows.predict import predict
    from atypia.workflows.slide import predict_slide
    from atypia.workflows.train import train
    from atypia.workflows.training.publish import TrainingRun

switch_off_reports()  # here, so that it is done before any part imports such a library

__all__ = [
    "AtypiaError",
    "Calibration",
    "FigureTable",
    "Judgement",
    "PredictOptions",
    "Predictor",
    "Recipe",
    "Study",
    "TrainingRun",
    "__version__",
    "ablate",
    "audit",
    "create_study",
    "describe",
    "embed",
    "evaluate",
    "figures_from_frame",
    "label_points",
    "load",
    "measure_study",
    "open_figures",
    "predict",
    "predict_slide",
    "read_recipe",
    "train",
]

_HOMES = {
    "AtypiaError": "atypia.errors",
    "Calibration": "atypia.evaluation.calibration",
    "FigureTable": "atypia.data.table",
    "Judgement": "atypia.evaluation.judge",
    "PredictOptions": "atypia.inference.options",
    "Predictor": "atypia.inference.predictor",
    "Recipe": "atypia.training.recipe",
    "Study": "atypia.study.study",
    "TrainingRun": "atypia.workflows.training.publish",
    "ablate": "atypia.workflows.ablate",
    "audit": "atypia.data.audit",
    "create_study": "atypia.study.create",
    "describe": "atypia.data.describe",
    "embed": "atypia.workflows.embed",
    "evaluate": "atypia.workflows.evaluate",
    "figures_from_frame": "atypia.data.table",
    "label_points": "atypia.workflows.label_points",
    "load": "atypia.inference.predictor",
    "measure_study": "atypia.study.agreement",
    "open_figures": "atypia.data.readers.open_figures",
    "predict": "atypia.workflows.predict",
    "predict_slide": "atypia.workflows.slide",
    "read_recipe": "atypia.training.recipe_file",
    "train": "atypia.workflows.train",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'atypia' has no attribute {name!r}")
    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as fault:
        missing = missing_extra(fault, f"atypia.{name}")
        if missing is None:
            raise
        raise missing from fault


def __dir__() -> list[str]:
    return list(__all__)
