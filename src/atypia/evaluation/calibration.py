"""From logits to probabilities, calls and referrals; fitted on out-of-fold scores only."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from atypia.data.logits import logit, sigmoid
from atypia.errors import AtypiaError, OptionError, abbreviate
from atypia.evaluation.operating_point import choose_operating_point
from atypia.evaluation.refer_band import choose_refer_band

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

_LOG_TEMPERATURE_BOUND = math.log(50.0)
_BIAS_BOUND = 20.0
_LEAST_P = 1e-9
_ALIGNED_SHARE = 0.5  # of the distance between two means


# A dataclass of pydantic, not a BaseModel: arguments stay positional, and `replace` validates too.
@dataclass(frozen=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class Calibration:
    """How a logit becomes P(atypical), a call and a referral.

    P(atypical) = sigmoid(logit / temperature + bias) (Guo et al. 2017; with a bias, Platt 1999).

    Raises:
        pydantic.ValidationError: a value is not finite, of another type or out of range.

    Example:
        >>> calibration = Calibration(2.0, 0.0, 0.5, 0.4, 0.6, fitted_on="an example")
        >>> p = calibration.probability([-4.0, 0.0, 4.0])
        >>> p.round(3).tolist()
        [0.119, 0.5, 0.881]
        >>> calibration.call(p).tolist(), calibration.refer(p).tolist()
        ([False, False, True], [False, True, False])
    """

    temperature: Annotated[float, Field(gt=0, description="divides the logit")]
    bias: Annotated[float, Field(description="added to the scaled logit")]
    operating_point: Annotated[
        float, Field(description="probability above which a figure is called atypical")
    ]
    refer_low: Annotated[
        float, Field(ge=0, description="lower end of the refer band, <= operating_point")
    ]
    refer_high: Annotated[
        float, Field(le=1, description="upper end of the refer band, >= operating_point")
    ]
    fitted_on: Annotated[str, Field(description="in words, the figures it was fitted on")]
    refer_rule: Annotated[
        str, Field(description="in words, how the refer band was chosen and what it guarantees")
    ] = "not recorded"
    refer_risk: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="what the band guarantees (see `refer_band`): the highest expected share "
            "of a case's atypical figures called normal, and of its normal figures called "
            "atypical, without review; None if nothing is guaranteed",
        ),
    ] = None
    prevalence: Annotated[
        float | None,
        Field(
            gt=0,
            lt=1,
            description="share of atypical figures for which the probabilities hold; None if "
            "unknown",
        ),
    ] = None
    normal_logit: Annotated[
        float | None,
        Field(description="mean logit of the normal figures it was fitted on; None if unknown"),
    ] = None
    atypical_logit: Annotated[float | None, Field(description="likewise, of the atypical ones")] = (
        None
    )

    @model_validator(mode="after")
    def _band_holds_the_operating_point(self) -> Self:
        if not self.refer_low <= self.operating_point <= self.refer_high:
            raise ValueError(
                "refer_low <= operating_point <= refer_high must hold, got "
                f"{self.refer_low!r}, {self.operating_point!r}, {self.refer_high!r}"
            )
        return self

    def probability(self, logit: npt.ArrayLike) -> FloatArray:
        """Return P(atypical) in [0, 1], float64, of logits of any shape."""
        scaled = np.asarray(logit, dtype=np.float64) / self.temperature + self.bias
        p: FloatArray = sigmoid(scaled)
        return p

    def logit(self, p: npt.ArrayLike) -> FloatArray:
        """Return the logits that `probability` makes P of; P of 0 and 1 give the outermost ones."""
        inside = np.clip(np.asarray(p, dtype=np.float64), _LEAST_P, 1 - _LEAST_P)
        logits: FloatArray = (logit(inside) - self.bias) * self.temperature
        return logits

    def call(self, p: npt.ArrayLike) -> BoolArray:
        """Return True where P(atypical) lies above the operating point."""
        called: BoolArray = np.asarray(p, dtype=np.float64) > self.operating_point
        return called

    def refer(self, p: npt.ArrayLike) -> BoolArray:
        """Return True where P(atypical) lies in the refer band, ends included."""
        value = np.asarray(p, dtype=np.float64)
        inside: BoolArray = (value >= self.refer_low) & (value <= self.refer_high)
        return inside

    def at_prevalence(self, prevalence: float) -> Calibration:
        """Return the calibration for another share of atypical figures.

        The logit of P shifts by the difference of the two shares' logits (Saerens et al. 2002),
        and so do the operating point and the refer band. P changes, calls and referrals do not:
        they depend on the likelihood ratio of a score, which is the same at any prevalence.

        Args:
            prevalence: share of atypical figures, in (0, 1).

        Raises:
            OptionError: it is out of range, or the share in training is not known.
        """
        if not 0 < prevalence < 1:
            raise OptionError(
                "prevalence",
                prevalence,
                "expected the share of atypical figures, above 0 and below 1",
            )
        if self.prevalence is None:
            raise OptionError(
                "prevalence",
                prevalence,
                "the bundle does not say what share of its training figures was atypical; train it "
                "again with this version",
            )
        shift = float(logit(prevalence) - logit(self.prevalence))

        def shift_p(p: float) -> float:
            return float(sigmoid(logit(p) + shift))

        return dataclasses.replace(
            self,
            bias=self.bias + shift,
            operating_point=shift_p(self.operating_point),
            refer_low=shift_p(self.refer_low),
            refer_high=shift_p(self.refer_high),
            prevalence=prevalence,
        )

    def aligned_to(self, mean_logit: float) -> Calibration:
        """Return the calibration for a laboratory whose figures have another mean logit.

        The logit of P moves half of the way to the mean that figures of the same share of atypical
        ones have in training. It takes a figure's stain, scanner and tissue into account, and not
        all of it, as the mean of some figures is also a matter of chance: docs/operating-point.md
        compares this with other ways. P and calls change, the operating point does not.

        Args:
            mean_logit: of the laboratory's figures; `prevalence` is the share of atypical ones.

        Raises:
            AtypiaError: the means in training are not known.
        """
        if self.prevalence is None or self.normal_logit is None or self.atypical_logit is None:
            raise AtypiaError(
                "the bundle does not say which logits its training figures had on average; train "
                "it again with this version"
            )
        expected = self.normal_logit + self.prevalence * (self.atypical_logit - self.normal_logit)
        shift = _ALIGNED_SHARE * (expected - mean_logit) / self.temperature
        return dataclasses.replace(self, bias=self.bias + shift)

    def to_dict(self) -> dict[str, float | str | None]:
        """Return the fields as plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """Build from `to_dict`'s values; keys that older bundles lack take their defaults.

        Raises:
            AtypiaError: a key is missing or unknown, or a value is of another type or out of range.
        """
        try:
            return cls(**values)
        except ValidationError as fault:
            first = fault.errors()[0]
            name = f"{first['loc'][0]}: "[:60] if first["loc"] else ""
            problem = first["msg"].removeprefix("Value error, ")
            value = (
                f", got {abbreviate(first['input'])}" if name and first["type"] != "missing" else ""
            )
            more = f" (and {fault.error_count() - 1} more)" if fault.error_count() > 1 else ""
            raise AtypiaError(f"calibration: {name}{problem}{value}{more}") from fault


@dataclasses.dataclass(frozen=True)
class CrossFit:
    """Out-of-fold figures, each calibrated and called by the other folds.

    Attributes:
        p: (N,) float64, P(atypical).
        call: (N,) bool, True where called atypical.
        refer: (N,) bool, True where a person should review the figure.
        calibrations: fold number to the calibration used for that fold.
    """

    p: FloatArray
    call: BoolArray
    refer: BoolArray
    calibrations: dict[int, Calibration]


def fit_temperature(logits: FloatArray, targets: FloatArray) -> tuple[float, float]:
    """Return the temperature and bias of greatest likelihood (Guo et al. 2017; Platt 1999).

    Targets are smoothed by Platt's prior, (n+ + 1) / (n+ + 2) for atypical and 1 / (n- + 2) for
    normal, so that perfectly separated scores give finite values. The temperature stays within
    [1/50, 50]: scores without information, or in reverse order, are flattened, never reversed.

    Args:
        logits: (N,) finite.
        targets: (N,) soft or hard, in [0, 1]; neither all 0 nor all 1.

    Raises:
        AtypiaError: there is no figure, or the targets are all 0 or all 1.
    """
    # Imported here: classification does not need it and starts sooner without.
    from scipy.optimize import minimize

    logits = np.asarray(logits, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    atypical, normal = float(targets.sum()), float((1.0 - targets).sum())
    if atypical <= 0 or normal <= 0:
        raise AtypiaError(
            f"calibration needs held-out figures of both classes, but {len(targets)} figures hold "
            f"{atypical:g} atypical and {normal:g} normal; use other figures or folds"
        )
    high, low = (atypical + 1) / (atypical + 2), 1 / (normal + 2)
    target = targets * high + (1.0 - targets) * low

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        slope, bias = math.exp(parameters[0]), parameters[1]
        scaled = logits * slope + bias
        value = np.mean(np.logaddexp(0.0, scaled) - target * scaled)
        gap = sigmoid(scaled) - target
        gradient = np.array([np.mean(gap * logits) * slope, np.mean(gap)])
        return float(value), gradient

    fit = minimize(
        loss,
        x0=np.array([0.0, 0.0]),
        jac=True,
        method="L-BFGS-B",
        bounds=[
            (-_LOG_TEMPERATURE_BOUND, _LOG_TEMPERATURE_BOUND),
            (-_BIAS_BOUND, _BIAS_BOUND),
        ],
        options={"ftol": 1e-12, "gtol": 1e-8},
    )
    return math.exp(-float(fit.x[0])), float(fit.x[1])


def fit_calibration(
    logits: FloatArray,
    targets: FloatArray,
    truth: FloatArray,
    clusters: npt.NDArray[np.object_],
    domains: npt.NDArray[Any],
    *,
    fitted_on: str,
) -> Calibration:
    """Fit temperature, bias, operating point and refer band on out-of-fold scores.

    Never evaluate the result on these figures; `cross_fit` evaluates them without bias.

    Args:
        logits: (N,) finite scores of figures that the scoring model did not train on.
        targets: (N,) soft labels in [0, 1]; NaN entries are left out of the temperature.
        truth: (N,) values in {0, 1}; NaN entries are left out of operating point and refer risk.
        clusters: (N,) case of each figure.
        domains: (N,) domain of each figure, names or numbers.
        fitted_on: in words, what these figures are; kept with the result.

    Raises:
        AtypiaError: a logit is not finite, or one of the classes is absent.
    """
    logits = np.asarray(logits, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    truth = np.asarray(truth, dtype=np.float64)
    clusters, domains = np.asarray(clusters, dtype=object), np.asarray(domains)
    bad = np.flatnonzero(~np.isfinite(logits))
    if len(bad):
        raise AtypiaError(
            f"calibration: {len(bad)} of {len(logits)} scores are not finite (first at position "
            f"{bad[0]}); the training has diverged or a figure was not scored"
        )
    has_target, has_truth = np.isfinite(targets), np.isfinite(truth)
    temperature, bias = fit_temperature(logits[has_target], targets[has_target])
    cut = choose_operating_point(logits[has_truth], truth[has_truth], domains[has_truth])
    band = choose_refer_band(logits, truth, clusters, cut)
    return Calibration(
        temperature=temperature,
        bias=bias,
        operating_point=float(sigmoid(cut / temperature + bias)),
        refer_low=float(sigmoid(band.low / temperature + bias)),
        refer_high=float(sigmoid(band.high / temperature + bias)),
        fitted_on=fitted_on,
        refer_rule=band.rule,
        refer_risk=band.risk if band.met else None,
        prevalence=float(targets[has_target].mean()),
        normal_logit=float(np.average(logits[has_target], weights=1 - targets[has_target])),
        atypical_logit=float(np.average(logits[has_target], weights=targets[has_target])),
    )


def cross_fit(
    logits: FloatArray,
    targets: FloatArray,
    truth: FloatArray,
    folds: npt.NDArray[np.int64],
    clusters: npt.NDArray[np.object_],
    domains: npt.NDArray[Any],
) -> CrossFit:
    """Call out-of-fold scores without bias: each fold by a calibration of the other folds.

    A calibration also leaves out all figures of the cases in its own fold, so nothing is chosen on
    the figures it is judged by.

    Args:
        logits: (N,) finite out-of-fold scores.
        targets: (N,) soft labels in [0, 1] or NaN.
        truth: (N,) values in {0, 1} or NaN.
        folds: (N,) fold of each figure.
        clusters: (N,) case of each figure.
        domains: (N,) domain of each figure, names or numbers.

    Raises:
        AtypiaError: as `fit_calibration`, or there is one fold only.
    """
    folds = np.asarray(folds)
    clusters = np.asarray(clusters, dtype=object)
    logits = np.asarray(logits, dtype=np.float64)
    numbers = sorted({int(fold) for fold in folds})
    if len(numbers) < 2:
        raise AtypiaError(
            f"cross-fitting needs at least two folds of held-out scores, got {len(numbers)}; "
            "train more folds"
        )
    p = np.zeros(len(logits), dtype=np.float64)
    call = np.zeros(len(logits), dtype=bool)
    refer = np.zeros(len(logits), dtype=bool)
    calibrations: dict[int, Calibration] = {}
    for number in numbers:
        here = folds == number
        touched = set(clusters[here])
        others = np.array([cluster not in touched for cluster in clusters], dtype=bool)
        calibration = fit_calibration(
            logits[others],
            np.asarray(targets)[others],
            np.asarray(truth)[others],
            clusters[others],
            np.asarray(domains)[others],
            fitted_on=f"out-of-fold scores of all folds but {number}",
        )
        p[here] = calibration.probability(logits[here])
        call[here] = calibration.call(p[here])
        refer[here] = calibration.refer(p[here])
        calibrations[number] = calibration
    return CrossFit(p=p, call=call, refer=refer, calibrations=calibrations)
