"""`atypia data points`: what experts corrected in QuPath becomes figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atypia.cli.options import SlideMpp
from atypia.cli.outputs import Overwrite
from atypia.cli.progress import progress_bars

if TYPE_CHECKING:
    from atypia.data.slide_list import ListedSlide


def points(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="[SLIDE]",
            help="Slide file, or a list of slides with their points (columns slide, points). None "
            "where --expert names lists.",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Output folder for figures.csv and images/."),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--points",
            metavar="FILE",
            help="Corrected objects of the slide: GeoJSON of QuPath, or any other file of points "
            "with classes.",
        ),
    ] = None,
    experts: Annotated[
        list[str] | None,
        typer.Option(
            "--expert",
            metavar="NAME=FILE",
            help="Objects as one of several experts corrected them, for votes instead of labels; "
            "without SLIDE, the expert's own list of slides. May be repeated.",
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels",
            metavar="CLASS=LABEL,...",
            help="Which class is which label, atypical or normal. "
            "Default: 'Atypical mitosis=atypical,Normal mitosis=normal'.",
        ),
    ] = None,
    reviewed: Annotated[
        Literal["touched", "all"],
        typer.Option(
            "--reviewed",
            help="What was looked at: objects whose class was changed, that are locked or that "
            "atypia did not classify; or all.",
        ),
    ] = "touched",
    mpp: SlideMpp = None,
    overwrite: Overwrite = False,
) -> None:
    """Make figures of objects that were corrected in QuPath: labels or votes, and their crops.

    Objects that nobody touched say what the classifier said, and are left out. What cannot be used
    is named; the exit code is then 1.

    Example: atypia data points case.svs --points corrected.geojson --out figures
    """
    from atypia.data.points.reviews import OWN_LABELS
    from atypia.workflows.label_points import label_points

    slides = _list_slides(source, file, experts or [], mpp)
    meanings = OWN_LABELS if labels is None else _parse_labels(labels)
    with progress_bars() as on_progress:
        done = label_points(
            slides,
            out,
            labels=meanings,
            everything=reviewed == "all",
            overwrite=overwrite,
            on_progress=on_progress,
        )
    for line in done.faults:
        typer.echo(line, err=True)
    typer.echo(f"looked at: {', '.join(f'{n:,} {how}' for how, n in done.reviews.items() if n)}")
    if done.untouched:
        unknown = (
            f" ({done.unknown:,} classified by an earlier version of atypia, which noted no call: "
            "whether they were changed is not known)"
            if done.unknown
            else ""
        )
        typer.echo(f"left out, as nobody touched them: {done.untouched:,}{unknown}")
    if done.others:
        named = ", ".join(f"{name or 'no class'!r}: {n:,}" for name, n in done.others.items())
        typer.echo(f"left out, as their class is no label: {named}")
    if done.only_changed:
        typer.echo(
            "warning: all of them are calls that somebody changed, the classifier's errors alone: "
            "evaluate refuses them; lock in QuPath what you agree with as well",
            err=True,
        )
    count = len(done.table)
    typer.echo(f"{count:,} figure{'' if count == 1 else 's'} written to {out / 'figures.csv'}")
    if done.faults:
        raise typer.Exit(1)


def _list_slides(
    source: Path | None, file: Path | None, experts: list[str], mpp: float | None
) -> dict[str, Sequence[ListedSlide]]:
    """Return expert -> slides with points, of what the command names.

    Raises:
        BadParameter: the options do not fit together.
    """
    from atypia.data.slide_list import ListedSlide, is_slide_list, read_slide_list, slide_name

    named: dict[str, Path] = {}
    for pair in experts:
        name, equals, path = pair.partition("=")
        if not (name.strip() and equals and path) or name.strip() in named:
            raise typer.BadParameter(
                f"{pair!r}: expected NAME=FILE, each name once", param_hint="--expert"
            )
        named[name.strip()] = Path(path)
    if source is None or is_slide_list(source):
        if file is not None or bool(named) == (source is not None):
            raise typer.BadParameter(
                "give SLIDE with --points FILE or --expert NAME=FILE; or a list of slides; or "
                "--expert NAME=LIST for each expert"
            )
        if mpp is not None:
            raise typer.BadParameter("is of one slide; a list has a column mpp", param_hint="--mpp")
        lists = named if source is None else {"": source}
        return {name: read_slide_list(path) for name, path in lists.items()}
    files = named if file is None else {"": file}
    if not files or (named and file is not None):
        raise typer.BadParameter(
            f"{source}: give --points FILE, or --expert NAME=FILE for each expert"
        )
    name = slide_name(source)
    return {
        expert: [ListedSlide(name, name, source, points, mpp, None)]
        for expert, points in files.items()
    }


def _parse_labels(text: str) -> dict[str, float]:
    """Return class -> 1 or 0.

    Raises:
        BadParameter: it is no such list.
    """
    from atypia.data.columns import ANSWERS

    labels: dict[str, float] = {}
    for pair in text.split(","):
        name, equals, label = (part.strip() for part in pair.rpartition("="))
        value = ANSWERS.get(label.lower()) if label else None
        if not (name and equals) or value is None:
            raise typer.BadParameter(
                f"{pair.strip()!r}: expected CLASS=atypical or CLASS=normal, divided by commas",
                param_hint="--labels",
            )
        labels[name] = value
    return labels
