"""The settings of a study, `study.json`: what a paper's methods need, and what never changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from atypia.errors import AtypiaError, abbreviate, suggest_name
from atypia.files import parse_json
from atypia.study.answers import DETAILS, Answer

TWO_AND_ONE, ALL = "two-and-one", "all"
RULES_IN_WORDS = f"{TWO_AND_ONE}, {ALL} or majority-of-N, such as majority-of-3"

_EXPERT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_MAJORITY = re.compile(r"majority-of-([1-9]\d?)")
_TAKEN = ("lead",)


class StudySettings(BaseModel):
    """The settings of a study.

    Raises:
        pydantic.ValidationError: a value is missing, unknown or does not fit the others; see
            `check_settings` for a line of text.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Annotated[Literal[1], Field(description="version of the folder's format")] = 1
    experts: Annotated[tuple[str, ...], Field(description="names, as in the columns `vote_NAME`")]
    rule: Annotated[str, Field(description="who votes on which figure")]
    arbiter: Annotated[str, Field(description="decides where two differ; two-and-one only")] = ""
    definition: Annotated[str, Field(description="of atypical, Markdown; shown to experts")] = ""
    asks_detail: Annotated[bool, Field(description="asks for phase or kind of atypia, too")] = False
    shows_domain: Annotated[bool, Field(description="experts see laboratory and scanner")] = False
    first_um: Annotated[int, Field(gt=0, description="side of the square that is shown first")] = 32
    seed: Annotated[int, Field(ge=0, description="of the queues")] = 0
    figures_sha256: Annotated[str, Field(description="of the table of figures")]
    created: Annotated[str, Field(description="UTC, ISO 8601")]
    atypia: Annotated[str, Field(description="version that made the study")]

    @field_validator("experts")
    @classmethod
    def _names_that_fit(cls, experts: tuple[str, ...]) -> tuple[str, ...]:
        if not experts:
            raise ValueError("expected at least one name")
        for name in experts:
            if not _EXPERT.fullmatch(name) or name.lower() in _TAKEN:
                raise ValueError(
                    f"{abbreviate(name)} cannot be an expert's name; expected up to 40 letters, "
                    f"digits, - _ or ., other than {', '.join(_TAKEN)}"
                )
        lower = [name.lower() for name in experts]
        twice = [name for name in experts if lower.count(name.lower()) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is given twice; every expert needs a name of one's own")
        return experts

    @model_validator(mode="after")
    def _rule_that_fits(self) -> Self:
        votes = self.votes_of_majority
        if self.rule == TWO_AND_ONE:
            if len(self.experts) != 3:
                raise ValueError(f"rule {TWO_AND_ONE} needs three experts, got {len(self.experts)}")
            if self.arbiter not in self.experts:
                raise ValueError(
                    f"arbiter {abbreviate(self.arbiter)} is no expert of the study"
                    f"{suggest_name(self.arbiter, self.experts)}"
                )
        elif self.arbiter:
            raise ValueError(f"arbiter {self.arbiter}: only rule {TWO_AND_ONE} has one")
        elif votes is not None and votes > len(self.experts):
            raise ValueError(f"rule {self.rule} needs {votes} experts, got {len(self.experts)}")
        elif votes is None and self.rule != ALL:
            raise ValueError(f"rule {abbreviate(self.rule)}: expected {RULES_IN_WORDS}")
        return self

    @property
    def votes_of_majority(self) -> int | None:
        """N of the rule majority-of-N; None with another rule."""
        match = _MAJORITY.fullmatch(self.rule)
        return None if match is None else int(match[1])

    def details_of(self, answer: Answer) -> tuple[str, ...]:
        """Return the kinds or phases that the study asks for with an answer."""
        return DETAILS.get(answer, ()) if self.asks_detail else ()

    @property
    def first_two(self) -> tuple[str, ...]:
        """The experts that vote on every figure under two-and-one."""
        return tuple(name for name in self.experts if name != self.arbiter)


def read_settings(path: Path) -> StudySettings:
    """Read the settings of a study.

    Raises:
        AtypiaError: the file is missing, or holds none.
    """
    try:
        return StudySettings.model_validate(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as fault:
        raise AtypiaError(
            f"{path}: cannot be read as the settings of a study; give the folder that "
            "atypia vote new wrote"
        ) from fault


def check_settings(values: dict[str, Any]) -> StudySettings:
    """Return the settings of a study; under two-and-one the last expert is arbiter by default.

    Raises:
        AtypiaError: a value is missing, unknown or does not fit the others.
    """
    experts: tuple[str, ...] = tuple(values.get("experts") or ())
    if values.get("rule") == TWO_AND_ONE and not values.get("arbiter") and len(experts) == 3:
        values = values | {"arbiter": experts[-1]}
    try:
        return StudySettings.model_validate(values)
    except ValidationError as fault:
        first = fault.errors()[0]
        name = f"{first['loc'][0]}: " if first["loc"] else ""
        problem = first["msg"].removeprefix("Value error, ")
        raise AtypiaError(f"study: {name}{problem}") from fault
