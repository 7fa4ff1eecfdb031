"""The protocol of MIDOG 2025, track 2: answers judged by tumour, at their class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from atypia.challenges.midog25.answers import convert_answers
from atypia.data.columns import DOMAIN_COLUMNS, UNKNOWN
from atypia.data.readers.open_figures import open_figures
from atypia.evaluation.judge import Judgement, judge
from atypia.workflows.evaluate import require_report, write_judgement


def evaluate_answers(
    answers: Path | str,
    source: Path | str,
    out: Path | str,
    *,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Judgement:
    """Judge answers as MIDOG 2025, track 2, does; write a report, with its metrics beside it.

    The calls are the answers' classes, the scores their confidences, the domains the tumours.

    Args:
        answers: a file of answers, or a folder of them (see `convert_answers`).
        source: the figures on the pages, with labels or votes; `stack` and `page` say where each
            is.
        out: the report to write, ending in .html.
        layout: the layout of `source`; detected if None.
        mapping: our column name -> theirs, for a table with other names.
        overwrite: replace a report and metrics that atypia did not write.

    Returns:
        The judgement that both files hold.

    Raises:
        TableError: the table or a file of answers is faulty, or they do not fit together.
        AtypiaError: `out` does not end in .html, or cannot be written.
    """
    answers, source, out = Path(answers), Path(source), Path(out)
    require_report(out, (answers, source), overwrite=overwrite)
    table = open_figures(source, layout=layout, mapping=mapping)
    others = [name for name in DOMAIN_COLUMNS if name != "tumour"]
    frame = table.frame.assign(**dict.fromkeys(others, UNKNOWN))
    by_tumour = replace(table, frame=frame, notes=())
    predicted, notes = convert_answers(answers, by_tumour)
    judgement = judge(predicted, by_tumour)
    balanced, auroc = judgement.overall.balanced_accuracy, judgement.overall.auroc
    if balanced is not None and auroc is not None and auroc < 0.5 < balanced:
        notes.append(
            "the AUROC is below 0.5 though the balanced accuracy is above: is the confidence that "
            "of the class? It must be P(atypical)"
        )
    judgement = replace(judgement, notes=(*judgement.notes, *notes))
    facts = {"Answers": answers.name or str(answers), "Protocol": "MIDOG 2025, track 2"}
    title = "MIDOG 2025, track 2: atypical mitotic figures"
    write_judgement(judgement, by_tumour, [source], out, title=title, facts=facts)
    return judgement
