"""`atypia vote`: several experts vote, blind; their votes become a figure table."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from atypia.cli.address import Port, TlsCert, TlsKey, require_pair
from atypia.cli.figures import Columns, LayoutName, Mpp, open_sources
from atypia.cli.outputs import Overwrite
from atypia.cli.progress import progress_bars
from atypia.cli.summary import describe_agreement
from atypia.errors import AtypiaError

app = typer.Typer(no_args_is_help=True, help="Let several experts vote on figures, blind.")

StudyFolder = Annotated[
    Path, typer.Argument(metavar="STUDY", help="Folder of the study.", show_default=False)
]
OnShare = Annotated[
    bool,
    typer.Option("--on-share", help="The study lies on a network share (SMB, NFS)."),
]
_SHOWN = 10


@app.command()
def new(
    figures: Annotated[
        Path,
        typer.Argument(
            metavar="FIGURES",
            help="Figure table or folder of figures with crops; or a list of slides with their "
            "points (columns slide and points).",
            show_default=False,
        ),
    ],
    *,
    experts: Annotated[
        str, typer.Option("--experts", metavar="NAMES", help="Names, separated by commas.")
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder of the study.")],
    rule: Annotated[
        str,
        typer.Option(
            "--rule",
            metavar="RULE",
            help="two-and-one: two vote on every figure, the third decides where they differ; "
            "all: everybody votes on every figure; majority-of-N, such as majority-of-3: a figure "
            "is shown until its majority cannot change.",
        ),
    ] = "two-and-one",
    arbiter: Annotated[
        str,
        typer.Option(
            "--arbiter",
            metavar="NAME",
            help="Who decides under two-and-one. Default: the last expert.",
            show_default=False,
        ),
    ] = "",
    definition: Annotated[
        Path | None,
        typer.Option(
            "--definition",
            metavar="FILE",
            help="Your definition of atypical, Markdown, with example crops beside it.",
        ),
    ] = None,
    detail: Annotated[
        bool, typer.Option("--detail", help="Ask for the phase or the kind of atypia, too.")
    ] = False,
    show_domain: Annotated[
        bool,
        typer.Option("--show-domain", help="Show tumour, scanner and laboratory to experts."),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the experts' orders.")] = 0,
    votes_of: Annotated[
        Path | None,
        typer.Option(
            "--votes-of",
            metavar="STUDY",
            help="Take the votes of an earlier study over, of the same experts on the same images: "
            "experts, rule and figures of a study cannot be changed, those of a new one can.",
        ),
    ] = None,
    layout: LayoutName = None,
    mpp: Mpp = None,
    column: Columns = None,
) -> None:
    """Make a study: which figures, which experts, which rule.

    Labels and votes in the table are left out, so that nobody sees them. Figures that cannot be
    shown are named; the exit code is then 1.

    Example: atypia vote new figures.csv --experts anna,ben,eva --out study
    """
    from atypia.data.slide_list import is_slide_list, read_slide_list
    from atypia.study.create import create_study
    from atypia.study.study import Study
    from atypia.study.take_over import take_over

    earlier = None if votes_of is None else Study(votes_of)
    with tempfile.TemporaryDirectory(prefix="atypia-") as folder, progress_bars() as on_progress:
        if is_slide_list(figures):
            from atypia.study.from_slides import cut_figures

            listed = read_slide_list(figures)
            table, left_out = cut_figures(listed, Path(folder), on_progress=on_progress)
        else:
            table, left_out = open_sources(figures, layout, mpp, column), []
        made = create_study(
            table,
            out,
            [name.strip() for name in experts.split(",")],
            rule=rule,
            arbiter=arbiter,
            definition=definition,
            asks_detail=detail,
            shows_domain=show_domain,
            seed=seed,
            on_progress=on_progress,
        )
    left_out += made.left_out
    for line in left_out:
        typer.echo(line, err=True)
    typer.echo(f"{made.study}")
    for one in [] if earlier is None else take_over(made.study, earlier):
        rest = f", {one.left_out:,} left out" if one.left_out else ""
        typer.echo(f"{one.expert}: {_count(one.votes, 'vote')} taken over{rest}")
    typer.echo(f"wrote {out}; start voting with atypia vote serve {out}")
    if left_out:
        raise typer.Exit(1)


@app.command()
def serve(
    study: StudyFolder,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Address to listen on. Beyond this machine, anybody who has a link can vote with "
            "it; give a certificate, too, so that nobody on the way reads the links.",
        ),
    ] = "127.0.0.1",
    port: Port = 8808,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    renew: Annotated[
        list[str] | None,
        typer.Option(
            "--renew",
            metavar="NAME",
            help="Make a new link for an expert, or for lead; the former one stops working. May "
            "be repeated.",
        ),
    ] = None,
    on_share: OnShare = False,
) -> None:
    """Serve the pages of a study: a link for each expert, and one for the lead.

    Every vote is on the disk before the page says so. Stop it with Ctrl-C at any time and start it
    again; links stay the same.

    Example: atypia vote serve study
    """
    from atypia.apps.listening import is_loopback
    from atypia.apps.vote.links import renew_link
    from atypia.apps.vote.server import serve as serve_study
    from atypia.study.study import Study

    require_pair(tls_cert, tls_key)
    opened = Study(study, on_share=on_share)
    for name in renew or ():
        renew_link(opened, name)

    def show_links(links: dict[str, str]) -> None:
        width = max(map(len, links))
        for name, link in links.items():
            typer.echo(f"{name:{width}}  {link}")
        if not is_loopback(host):
            way = "" if tls_cert else ", and whoever listens on the way can read the links"
            typer.echo(f"note: other machines can reach this study{way}", err=True)
        typer.echo("press Ctrl-C to stop; votes are saved as they come", err=True)

    with suppress(KeyboardInterrupt):
        serve_study(
            opened,
            host=host,
            port=port,
            certificate=tls_cert,
            key=tls_key,
            on_ready=show_links,
        )
    typer.echo("stopped; all votes are saved", err=True)


@app.command()
def page(
    study: StudyFolder,
    expert: Annotated[str, typer.Option("--expert", metavar="NAME", help="Whose page.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="HTML file to write.")],
    on_share: OnShare = False,
    overwrite: Overwrite = False,
) -> None:
    """Write an expert's page as one file that works without a network.

    The expert opens it in a browser, votes, and saves the answers as a file; collect merges it.

    Example: atypia vote page study --expert eva --out eva.html
    """
    from atypia.apps.vote.pages import make_offline_page
    from atypia.files import require_outputs, write_output
    from atypia.study.study import Study

    require_outputs([out], inputs=[], overwrite=overwrite)
    with progress_bars() as on_progress:
        text = make_offline_page(Study(study, on_share=on_share), expert, on_progress=on_progress)
    write_output(out, text)
    typer.echo(f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)")


@app.command()
def collect(
    study: StudyFolder,
    answers: Annotated[
        list[Path],
        typer.Argument(
            metavar="ANSWERS...",
            help="Files that pages saved, such as eva.json.",
            show_default=False,
        ),
    ],
    on_share: OnShare = False,
) -> None:
    """Merge answers from pages without a server into the study; twice is once.

    Example: atypia vote collect study eva.json
    """
    from atypia.study.sheets import collect as collect_sheet
    from atypia.study.study import Study

    opened = Study(study, on_share=on_share)
    failed = False
    for path in answers:
        try:
            done = collect_sheet(opened, path)
        except AtypiaError as fault:
            typer.echo(str(fault), err=True)
            failed = True
            continue
        known = f", {done.known} collected before" if done.known else ""
        ended = "; the part has ended" if done.locked else ""
        typer.echo(f"{done.expert}: {_count(done.new, 'new vote')}{known}{ended}")
        if done.passed_over:
            typer.echo(
                f"{path}: {_count(done.passed_over, 'vote')} left out, on figures that "
                f"{done.expert} has voted on elsewhere; those votes stand",
                err=True,
            )
            failed = True
    if failed:
        raise typer.Exit(1)


@app.command()
def close(
    study: StudyFolder,
    now: Annotated[
        bool, typer.Option("--now", help="Also where experts have not ended their parts.")
    ] = False,
    on_share: OnShare = False,
) -> None:
    """Close a study: nobody votes any more, and votes and agreement can be seen.

    Example: atypia vote close study
    """
    from atypia.study.study import Study

    opened = Study(study, on_share=on_share)
    opened.close(now=now)
    for part in opened.progress():
        of = "unknown" if part.of is None else f"{part.of:,}"
        typer.echo(f"{part.expert}: {part.voted:,} of {of} voted on, {part.minutes:.0f} minutes")
    typer.echo(f"{study} is closed; see atypia vote agree {study}")


@app.command()
def agree(
    study: StudyFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="HTML report, with pictures of the disagreements. Default: agreement.html in the "
            "study.",
            show_default=False,
        ),
    ] = None,
    classifier: Annotated[
        bool,
        typer.Option(
            "--classifier",
            help="Show beside each disagreement what a classifier says, and the figures of other "
            "slides that look most like it, with their votes. Needs atypia[train].",
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            "--bundle",
            metavar="DIR",
            help="Which classifier. Default: the one that comes with atypia.",
            show_default=False,
        ),
    ] = None,
    on_share: OnShare = False,
    overwrite: Overwrite = False,
) -> None:
    """Tell how far experts agree, each with the others and with himself, and in what time.

    Example: atypia vote agree study

    Example: atypia vote agree study --classifier
    """
    from atypia.bundle.default import DEFAULT_BUNDLE
    from atypia.files import require_outputs
    from atypia.study.agreement import measure_study
    from atypia.study.agreement_page import write_agreement
    from atypia.study.study import Study

    opened = Study(study, on_share=on_share)
    target = out or study / "agreement.html"
    opened.require_closed("agreement is told")
    require_outputs([target], inputs=[], overwrite=overwrite)
    agreement = measure_study(opened)
    remarks = None
    if classifier or bundle is not None:
        from atypia.bundle.seen import count_seen
        from atypia.inference.options import PredictOptions
        from atypia.workflows.agree import remark_splits

        options = PredictOptions(bundle=bundle)
        seen = count_seen(options.folder, opened.table.image_paths())
        if seen:
            typer.echo(f"note: the classifier was trained on {_count(seen, 'figure')} of these")
        with progress_bars() as on_progress:
            remarks = remark_splits(opened, agreement, options, on_progress=on_progress)
    by = "" if remarks is None else DEFAULT_BUNDLE if bundle is None else str(bundle)
    write_agreement(opened, target, agreement, remarks, remarks_by=by)
    for line in describe_agreement(agreement):
        typer.echo(line)
    typer.echo(f"wrote {target}")


@app.command()
def export(
    study: StudyFolder,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Figure table, .csv or .parquet. Beside it come votes.csv, study.json and images.",
        ),
    ],
    on_share: OnShare = False,
    overwrite: Overwrite = False,
) -> None:
    """Write the votes of a closed study as a figure table to train on.

    Example: atypia vote export study --out voted/figures.csv
    """
    from atypia.study.export import export as export_study
    from atypia.study.study import Study

    done = export_study(Study(study, on_share=on_share), out, overwrite=overwrite)
    typer.echo(f"{_count(done.figures, 'figure')} with votes")
    if done.none:
        first = ", ".join(done.none[:_SHOWN]) + (", ..." if len(done.none) > _SHOWN else "")
        typer.echo(f"{_count(len(done.none), 'figure')} left out, no mitotic figure: {first}")
    if done.unsure:
        typer.echo(f"{_count(done.unsure, 'vote')} empty: cannot tell")
    for path in done.files:
        typer.echo(f"wrote {path}")


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
