"""Judge a predictions table against figures: report and metrics, written side by side."""

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
from atypia.data.table import FigureTable
from atypia.errors import AtypiaError
from atypia.evaluation.judge import Judgement, judge
from atypia.evaluation.report import write_report
from atypia.files import parse_json, remove_partials, require_outputs, sha256, write_output
from atypia.inference.options import PredictOptions
from atypia.inference.record import RunRecord, record_path
from atypia.progress import OnProgress, opens_bars, show_bars
from atypia.workflows.predict import predict


def evaluate(
    predictions: Path | str | pd.DataFrame | RunRecord,
    sources: Source | Sequence[Source],
    out: Path | str | None = None,
    *,
    layout: str | None = None,
    mapping: Mapping[str, str] | None = None,
    overwrite: bool = False,
    title: str = "How well atypical mitotic figures are told apart",
) -> Judgement:
    """Judge predictions and write a report, with its metrics beside it (see `metrics_path`).

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
        The judgement, which both files hold; its notes name what to keep in mind, such as labels
        against their votes, and figures that the bundle which made the predictions was trained on.

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
    file = None if isinstance(predictions, pd.DataFrame) else Path(predictions)
    if report is not None:
        inputs = [path for path in (file, *several) if isinstance(path, Path)]
        require_report(report, inputs, overwrite=overwrite)
    if isinstance(predictions, pd.DataFrame):
        predicted = check_predictions(predictions)
    else:
        predicted = read_predictions(Path(predictions))
    table = open_figures(several, layout=layout, mapping=mapping)
    judgement = judge(predicted, table)
    seen = "" if file is None else _seen_in_training(file, predicted, table)
    if seen:
        judgement = replace(judgement, notes=(*judgement.notes, seen))
    if report is not None:
        facts = {"Predictions": "a data frame"}
        if file is not None:
            facts = {"Predictions": file.name, "SHA-256 of the predictions": sha256(file)[:16]}
        write_judgement(judgement, table, several, report, title=title, facts=facts)
    return judgement


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
    """Classify figures and judge that; predictions and their record lie beside the report.

    Args:
        sources: the figures with labels or votes, of one source or several (see `open_figures`).
        out: the report to write, ending in .html.
        options: which bundle classifies, and how it runs; none takes the one that comes with
            atypia.
        layout: the layout of folders; detected if None.
        mapping: our column name -> theirs, for a table with other names.
        mpp: um/px of the images, as `predict`.
        overwrite: replace files that lie there and that atypia did not write.
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
    # A single file is predicted on as `predict` does it; what is put together here is open.
    alone = len(several) == 1 and bool(inputs)
    table = None if alone else open_figures(several, layout=layout, mapping=mapping, mpp=mpp)
    record = predict(
        inputs if table is None else [table],
        predictions,
        options,
        mpp=mpp,
        layout=layout if table is None else None,
        mapping=mapping if table is None else None,
        overwrite=overwrite,
        on_progress=on_progress,
    )
    judgement = evaluate(record, several, out, layout=layout, mapping=mapping)
    return judgement, record


def _seen_in_training(predictions: Path, predicted: pd.DataFrame, table: FigureTable) -> str:
    """Return a line on judged figures that the bundle was trained on; "" where none is known.

    Which bundle made the predictions stands in the record beside them.
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
    judged = replace(table, frame=frame[frame["image"] != ""])
    seen = count_seen(folder, judged.image_paths())
    if not seen:
        return ""
    return (
        f"the bundle {name} was trained on {seen:,} of these {len(frame):,} figures, so these "
        "results are better than those on others; judge it on figures it has not seen (of its own "
        "training: out_of_fold.csv)"
    )


def metrics_path(report: Path) -> Path:
    """Return where the metrics of a report lie: `report.metrics.json`, named as the report is."""
    return report.with_suffix(".metrics.json")


def predictions_path(report: Path) -> Path:
    """Return where the predictions of a bundle that is judged lie: `report.predictions.csv`.

    Its name is the report's: what `atypia predict` wrote beside it stays.
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
        judgement: to be written.
        table: the figures.
        sources: where they come from, as given.
        out: of the report.
        title: its heading.
        facts: what stands at its top, name -> value; where the figures are from, and the time, are
            added.

    Raises:
        AtypiaError: a file cannot be written.
    """
    facts = facts | {
        "Figures": " and ".join(map(source_label, sources)),
        "Judged on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    write_report(out, judgement, table, title=title, facts=facts)
    write_output(
        metrics_path(out),
        json.dumps({"facts": facts, **judgement.to_dict()}, indent=2, ensure_ascii=False) + "\n",
    )
