"""The command `atypia`: registers every verb; each has a file of its own."""

from __future__ import annotations

import errno
import logging
import sys
from typing import Annotated

import typer

from atypia.cli import (
    ablate,
    bundle,
    challenge,
    data,
    demo,
    doctor,
    evaluate,
    models,
    phantom,
    predict,
    recipes,
    serve,
    slide,
    slides,
    train,
    vote,
)
from atypia.cli.messages import print_messages
from atypia.cli.stopping import Stop
from atypia.cli.streams import open_streams
from atypia.errors import AtypiaError, OptionError
from atypia.extras import missing_extra
from atypia.offline import use_temporary_caches
from atypia.version import __version__

app = typer.Typer(
    name="atypia",
    help="Classify mitotic figures in H&E as atypical or normal. For research use only.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.add_typer(data.app, name="data")
data.app.command()(phantom.phantom)
app.add_typer(recipes.app, name="recipes")
app.command()(train.train)
app.command()(ablate.ablate)
app.command()(evaluate.evaluate)
app.command(cls=predict.PredictCommand)(predict.predict)
app.command()(slide.slide)
app.command()(slides.slides)
app.add_typer(models.app, name="models")
app.add_typer(bundle.app, name="bundle")
app.add_typer(challenge.app, name="challenge")
app.add_typer(vote.app, name="vote")
app.command()(serve.serve)
app.command()(doctor.doctor)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        print(f"atypia {__version__}")
        raise typer.Exit()
    context.with_resource(print_messages())


#: Verbs that resume.
_RESUMES = ("train", "ablate", "slides", "demo")


def run() -> None:
    """Run the command. A user's mistake is printed without a traceback; the exit code is 1 or 2.

    Ctrl-C exits with 130, SIGTERM with 143; neither leaves an unfinished file.
    """
    stop = None
    try:
        stop = Stop()
        open_streams()
        use_temporary_caches()
        # Without a home it prints where its cache lies.
        logging.getLogger("matplotlib").setLevel(logging.ERROR)
        app()
    except AtypiaError as mistake:
        sys.stderr.write(f"{mistake.typed if isinstance(mistake, OptionError) else mistake}\n")
        sys.exit(mistake.exit_code)
    except ModuleNotFoundError as fault:
        missing = missing_extra(fault, _typed_verb())
        if missing is None:
            raise
        sys.stderr.write(f"{missing}\n")
        sys.exit(missing.exit_code)
    except UnicodeEncodeError as fault:
        near = " ".join(fault.object[max(0, fault.start - 80) : fault.end + 80].split())
        advice = "rename the file" if fault.encoding == "utf-8" else "set PYTHONUTF8=1"
        sys.stderr.write(
            f"{near}: a file name or text that cannot be written in {fault.encoding}; {advice}\n"
        )
        sys.exit(2)
    except OSError as fault:
        if fault.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.stderr.write("the disk is full; free some space and run the same command again\n")
        sys.exit(2)
    except BaseException as end:
        # A library that is interrupted while it starts may raise an exception of its own.
        interrupted = isinstance(end, KeyboardInterrupt) or (
            isinstance(end, SystemExit) and end.code == _INTERRUPTED
        )
        terminated = stop is not None and stop.terminated
        if not (terminated or interrupted):
            raise
        # A server has ended as it should, and said so.
        if not (isinstance(end, SystemExit) and end.code == 0):
            resumes = len(sys.argv) > 1 and sys.argv[1] in _RESUMES
            goal = "to resume" if resumes else "to start over; unfinished files are removed"
            sys.stderr.write(f"stopped; run the same command again {goal}\n")
        sys.exit(_TERMINATED if terminated else _INTERRUPTED)


def _typed_verb() -> str:
    """Return the command as it was typed, without its arguments: `atypia bundle export`."""
    groups = {group.name for group in app.registered_groups}
    words = sys.argv[1 : 3 if sys.argv[1:2] and sys.argv[1] in groups else 2]
    return " ".join(["atypia", *words])


_INTERRUPTED, _TERMINATED = 130, 143
