"""Evaluate predictions against figures: report and metrics, written side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from atypia.bundle.seen import count_seen
from atypia.bundle.verify import bundle_hash
from atypia.data.predictions import check_predictions, read_predictions
from atypia.data.readers.open_figures import Source, list_sources, open_figures, source_label
from atypia.data.reviews import require_more_than_errors
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.evaluation.judge import Judgement, judge
from atypia.evaluation.report import write_report
from atypia.files import parse_json, remove_partials, require_outputs, sha256, write_output
from atypia.inference.options import PredictOptions
from atypia.inference.record import RunRecord, record_path
from atypia.inference.sources import open_sources
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.workflows.predict import predict_sources

TITLE = "Classification of atypical mitotic figures"


def evaluate(
    predictions: Path | str | pd.DataFrame | RunRecord,
    sources: Source | Sequence[Source],
    out: Path | str | None = None,
    *,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    overwrite: bool = False,
    title: str = TITLE,
) -> Judgement:
    """Evaluate predictions and write a report, with its metrics beside it (see `metrics_path`).

    Args:
        predictions: a predictions table (CSV, Parquet or JSON), one in memory, or what `predict`
            returned.
        sources: the figures with labels or votes, of one source or several (see `open_figures`).
            With several, predictions name a figure SOURCE/ID, or by its id where only one has it.
        out: the report to write, ending in .html; None writes nothing.
        layout: the layout of folders; detected if None.
        mapping: our column name -> theirs, for a table with other names.
        overwrite: replace a report and metrics that atypia did not write.
        title: the report's heading.

    Returns:
        The judgement, which both files hold. Its notes name what to keep in mind, such as labels
        that contradict their votes, and figures on which the bundle was trained.

    Raises:
        TableError: a table is faulty, or they have no figure in common.
        AtypiaError: `out` does not end in .html, or cannot be written.

    Example:
        >>> import atypia
        >>> from atypia.data.phantom.cohort import make_phantom
        >>> cohort = make_phantom("cohort", figures=12, domains=1)
        >>> record = atypia.predict(cohort, "predictions.csv", members=1)
        >>> atypia.evaluate(record, cohort).overall.figures
        12
    """
    several = list_sources(sources)
    report = None if out is None else Path(out)
    if isinstance(predictions, RunRecord):
        predictions = predictions.out
    if not isinstance(predictions, pd.DataFrame):
        predictions = Path(predictions)
    if report is not None:
        inputs = [path for path in (predictions, *several) if isinstance(path, Path)]
        require_report(report, inputs, overwrite=overwrite)
    table = open_figures(several, layout=layout, mapping=mapping)
    require_more_than_errors(table)
    return _evaluate_table(predictions, table, several, report, title=title)


@opens_bars
def evaluate_bundle(
    sources: Source | Sequence[Source],
    out: Path | str,
    *,
    options: PredictOptions | None = None,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    mpp: float | None = None,
    overwrite: bool = False,
    on_progress: OnProgress = show_bars,
) -> tuple[Judgement, RunRecord]:
    """Classify figures and evaluate the result; predictions and record go beside the report.

    Args:
        sources: the figures with labels or votes, of one source or several (see `open_figures`).
        out: the report to write, ending in .html.
        options: which bundle classifies, and how it runs; None takes the bundle that comes with
            atypia.
        layout: the layout of folders; detected if None.
        mapping: our column name -> theirs, for a table with other names.
        mpp: um/px of the images, as `predict`.
        overwrite: replace files that atypia did not write.
        on_progress: as `predict`.

    Returns:
        The judgement, and the record of the prediction, which names what failed.

    Raises:
        AtypiaError: as `evaluate` and `predict`.
    """
    out = Path(out)
    require_html(out)
    predictions = predictions_path(out)
    several = list_sources(sources)
    inputs = [source for source in several if isinstance(source, Path)]
    require_outputs([out, metrics_path(out)], inputs=inputs, overwrite=overwrite)
    table = open_figures(several, layout=layout, mapping=mapping, mpp=mpp)
    require_more_than_errors(table)
    # The record names a single file as it was given; several sources are classified as one table.
    alone = len(several) == 1 and bool(inputs)
    opened = open_sources(
        inputs if alone else [table],
        mpp=mpp,
        layout=layout if alone else None,
        mapping=mapping if alone else None,
    )
    record = predict_sources(
        # The judgement has the table's notes; logged by the prediction, they would appear twice.
        [replace(source, notes=()) for source in opened],
        predictions,
        options or PredictOptions(),
        mpp=mpp,
        overwrite=overwrite,
        on_progress=on_progress,
    )
    return _evaluate_table(predictions, table, several, out, title=TITLE), record


def _evaluate_table(
    predictions: Path | pd.DataFrame,
    table: FigureTable,
    sources: Sequence[Path | pd.DataFrame | FigureTable],
    report: Path | None,
    *,
    title: str,
) -> Judgement:
    """Judge predictions against an open table, and write the report unless it is None."""
    if isinstance(predictions, pd.DataFrame):
        judgement = judge(check_predictions(predictions), table)
        facts = {"Predictions": "a data frame"}
    else:
        predicted = read_predictions(predictions)
        judgement = judge(predicted, table)
        note = _note_training_figures(predictions, predicted, table)
        if note:
            judgement = replace(judgement, notes=(*judgement.notes, note))
        facts = {
            "Predictions": predictions.name,
            "SHA-256 of the predictions": sha256(predictions)[:16],
        }
    if report is not None:
        write_judgement(judgement, table, sources, report, title=title, facts=facts)
    return judgement


def _note_training_figures(predictions: Path, predicted: pd.DataFrame, table: FigureTable) -> str:
    """Return a note on evaluated figures that the bundle was trained on; "" if none is known.

    The record beside the predictions names the bundle.
    """
    try:
        record = parse_json(record_path(predictions).read_text(encoding="utf-8"))
        folder, name, digest = (record[key] for key in ("bundle", "bundle_name", "bundle_sha256"))
        folder = Path(folder)
        if Path(record["out"]).name != predictions.name or bundle_hash(folder) != digest:
            return ""
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    frame = table.frame[table.frame["figure_id"].isin(set(predicted["figure_id"]))]
    with_image = replace(table, frame=frame[frame["image"] != ""])
    count = count_seen(folder, with_image.image_paths())
    if not count:
        return ""
    return (
        f"the bundle {name} was trained on {count:,} of these {len(frame):,} figures, so these "
        "results are optimistic; evaluate it on figures it has not seen (for its own training "
        "figures, use out_of_fold.csv of the training)"
    )


def metrics_path(report: Path) -> Path:
    """Return the path of a report's metrics: `report.metrics.json` for `report.html`."""
    return report.with_suffix(".metrics.json")


def predictions_path(report: Path) -> Path:
    """Return the path of an evaluated bundle's predictions: `report.predictions.csv`.

    It is named after the report, so that files of `atypia predict` beside it stay.
    """
    return report.with_suffix(".predictions.csv")


def require_html(out: Path) -> None:
    """Refuse a report whose name does not end in .html.

    Raises:
        AtypiaError: it does not.
    """
    if out.suffix.lower() not in (".html", ".htm"):
        raise AtypiaError(f"{out}: a report is one HTML file; give a name ending in .html")


def require_report(out: Path, inputs: Iterable[Path], *, overwrite: bool) -> None:
    """Refuse, before any work, a report that cannot be written or would cost a user a file.

    Args:
        out: of the report, ending in .html.
        inputs: files that are read for it.
        overwrite: replace a report and metrics that atypia did not write.

    Raises:
        AtypiaError: as `files.require_outputs`, or another ending.
    """
    require_html(out)
    files = out, metrics_path(out)
    require_outputs(files, inputs=inputs, overwrite=overwrite)
    remove_partials(*files)


def write_judgement(
    judgement: Judgement,
    table: FigureTable,
    sources: Sequence[Path | pd.DataFrame | FigureTable],
    out: Path,
    *,
    title: str,
    facts: dict[str, str],
) -> None:
    """Write a report, and its metrics beside it (`metrics_path`).

    Args:
        judgement: the results.
        table: the figures.
        sources: where they come from, as given.
        out: path of the report.
        title: its heading.
        facts: shown at its top, name -> value; the source of the figures and the time are added.

    Raises:
        AtypiaError: a file cannot be written.
    """
    facts = facts | {
        "Figures": " and ".join(map(source_label, sources)),
        "Evaluated on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    write_report(out, judgement, table, title=title, facts=facts)
    write_output(
        metrics_path(out),
        json.dumps({"facts": facts, **judgement.to_dict()}, indent=2, ensure_ascii=False) + "\n",
    )
