"""`atypia recipes list | show`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="List and show the recipes that come with atypia.", no_args_is_help=True)


@app.command("list")
def list_recipes() -> None:
    """List the recipes that come with atypia.

    Example: atypia recipes list
    """
    from atypia.training.recipe_file import read_recipe, recipe_files

    for name, path in recipe_files().items():
        recipe = read_recipe(path)
        crop = f"{recipe.backbone.crop_um:g} um in {recipe.backbone.input_px} px"
        print(
            f"{name:<16} {recipe.backbone.key}, {recipe.adapter.kind}, {crop}, "
            f"{recipe.schedule.epochs} epochs, {recipe.folds.count} folds"
        )


@app.command("show")
def show(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_FILE", help="Name from `atypia recipes list`, or a TOML file."
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one value: section.key=value. May be repeated.",
        ),
    ] = None,
) -> None:
    """Print a recipe in full: every key with its value and meaning.

    Example: atypia recipes show lite > mine.toml
    """
    from atypia.training.recipe_file import read_recipe, to_toml

    print(to_toml(read_recipe(name, changes or ())), end="")
