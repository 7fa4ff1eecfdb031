"""The agreement of a study as one HTML file, in the look of the other reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from atypia.data.pictures import encode_jpeg
from atypia.errors import AtypiaError
from atypia.evaluation.html import data_uri, open_template
from atypia.files import write_output
from atypia.study.agreement import StudyAgreement, list_measures, measure_study
from atypia.study.answers import IN_WORDS
from atypia.study.pictures import Pictures
from atypia.study.study import Study

MOST_PICTURES = 300
_THUMBNAIL_PX = 160


@dataclass(frozen=True)
class SplitRemark:
    """What a classifier says of a figure that experts differ in; see `workflows.agree`.

    Attributes:
        p_atypical: its calibrated P.
        refer: whether it would refer the figure to a person.
        neighbours: nearest voted figures of other slides: their ids, and their votes in words.
    """

    p_atypical: float
    refer: bool
    neighbours: tuple[tuple[str, str], ...] = ()


def write_agreement(
    study: Study,
    path: Path,
    agreement: StudyAgreement | None = None,
    remarks: Mapping[str, SplitRemark] | None = None,
    *,
    remarks_by: str = "",
) -> None:
    """Write the agreement of a closed study as one HTML file without a link to the outside.

    Args:
        study: closed.
        path: of the file.
        agreement: as `measure_study` gives it; None measures it.
        remarks: of a classifier, on figures by their id; splits are shown in their order then.
        remarks_by: name of the classifier.

    Raises:
        AtypiaError: the study goes on, or the file cannot be written.
    """
    write_output(path, render_agreement(study, agreement, remarks, remarks_by=remarks_by))


def render_agreement(
    study: Study,
    agreement: StudyAgreement | None = None,
    remarks: Mapping[str, SplitRemark] | None = None,
    *,
    remarks_by: str = "",
) -> str:
    """Return the HTML that `write_agreement` writes."""
    agreement = agreement or measure_study(study)
    remarks = remarks or {}
    order = [figure for figure in remarks if figure in agreement.splits]
    order += [figure for figure in agreement.splits if figure not in remarks]
    pictures = Pictures(study)
    try:
        return open_template("agreement.html.j2", "atypia.study").render(
            study=study,
            closed=study.closed[:10],
            agreement=agreement,
            measures=list_measures(agreement.overall),
            words=IN_WORDS,
            splits=[
                (
                    figure,
                    agreement.splits[figure],
                    remarks.get(figure),
                    _thumbnail(pictures, figure, study.settings.first_um),
                )
                for figure in order[:MOST_PICTURES]
            ],
            more=len(order) - MOST_PICTURES,
            remarks_by=remarks_by,
        )
    finally:
        pictures.close()


def _thumbnail(pictures: Pictures, figure: str, side_um: int) -> str:
    try:
        data = encode_jpeg(pictures.draw(figure, side_um, _THUMBNAIL_PX), quality=85)
    except AtypiaError:
        return ""
    return data_uri(data, "image/jpeg")
