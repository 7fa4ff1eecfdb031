"""How much an embedding reveals about a figure's origin: a linear probe for the domain."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FOLDS = 3


@dataclass(frozen=True)
class DomainProbe:
    """How well a linear probe predicts the domain of training figures from their embedding.

    Attributes:
        before: balanced accuracy, in [0, 1], with the published network.
        after: the same with the trained network.
        chance: balanced accuracy of guessing.
    """

    before: float
    after: float
    chance: float


def probe_domains(
    embedding: npt.NDArray[np.float32],
    domain: npt.NDArray[np.int64],
    case: npt.NDArray[np.object_],
) -> tuple[float, float] | None:
    """Return how well a linear probe predicts domains on unseen cases, and the chance level.

    A logistic regression on standardised embeddings (Alain and Bengio 2016), cross-validated over
    cases. Domains with fewer cases than folds are left out: the probe would hardly know them.

    Args:
        embedding: float32 (B, D).
        domain: int64 (B,).
        case: str (B,).

    Returns:
        Balanced accuracy over domains, and that of guessing (one over the number of domains); None
        where fewer than two domains remain.
    """
    # Imported here: reports of trainings show probes, and only training makes them.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = [code for code in np.unique(domain) if len(np.unique(case[domain == code])) >= FOLDS]
    if len(kept) < 2:
        return None
    rows = np.isin(domain, kept)
    probe = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=100)
    )
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        # A probe that has not quite converged serves as well.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        predicted = cross_val_predict(
            probe, embedding[rows], domain[rows], groups=case[rows], cv=folds
        )
        accuracy = float(balanced_accuracy_score(domain[rows], predicted))
    return accuracy, 1 / len(kept)
