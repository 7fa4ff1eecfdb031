"""Recipes as files: read, changed by --set, refused with help, written out to the same again."""

from __future__ import annotations

from pathlib import Path

import pytest

from atypia.errors import RecipeError
from atypia.training.recipe import CardSection, Recipe
from atypia.training.recipe_file import read_recipe, recipe_files, to_toml


def test_every_recipe_that_comes_along_is_valid() -> None:
    assert "lite" in recipe_files()
    for path in recipe_files().values():
        assert read_recipe(path).name == path.stem


def test_written_out_in_full_it_reads_back_the_same(tmp_path: Path) -> None:
    recipe = read_recipe("lite", ['name=a "quoted" name', "folds.count=3", "augment.rotate=false"])
    card = CardSection(data="two\nlines, a \\ and an \u00fc", licence='"MIT"')
    recipe = recipe.model_copy(update={"card": card})
    path = tmp_path / "full.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe
    assert recipe != Recipe()


def test_set_changes_one_value() -> None:
    recipe = read_recipe("lite", ["schedule.epochs=3", "soft_labels.method=majority"])
    assert recipe.schedule.epochs == 3
    assert recipe.soft_labels.method == "majority"
    assert recipe.schedule.batch_size == read_recipe("lite").schedule.batch_size


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("schedule.epoch=3", "did you mean epochs?"),
        ("epochs=3", "did you mean schedule.epochs?"),
        ("shedule.epochs=3", "did you mean schedule?"),
        ("schedule.epochs=0", "schedule.epochs is 0"),
        ("schedule.epochs=many", "schedule.epochs is 'many'"),
        ("mixup.alpha=-1", "mixup.alpha is -1"),
        ("adapter.kind=lorra", "'full', 'lora' or 'linear'"),
        ("augment.shift_um=9", "augment.shift_um 9"),
        ("backbone.tta_views=3", "backbone.tta_views is 3; input should be 1, 2, 4 or 8"),
        ("schedule.learning_rate=nan", "schedule.learning_rate is nan"),
        ("name.first=x", "'name' is a value"),
        ("epochs", "section.key=value"),
    ],
)
def test_a_wrong_change_is_refused_with_what_would_be_right(change: str, said: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe("lite", [change])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe("lite", ["schedule.epochs=0", "mixup.alfa=1", "backbone.input_px=1"])
    assert len(str(caught.value).splitlines()) == 3


def test_an_unknown_name_offers_the_nearest() -> None:
    with pytest.raises(RecipeError, match="did you mean lite"):
        read_recipe("lit")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[schedule\n", encoding="utf-8")
    with pytest.raises(RecipeError, match=r"broken\.toml"):
        read_recipe(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"seed = {'[' * 3000}{']' * 3000}", "is nested too deeply"),
        (f"seed = {'9' * 5000}", "is not a TOML file"),
        ("name = '\udcff'", "is not a TOML file"),
    ],
)
def test_what_the_parser_gives_up_on_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(RecipeError, match=message) as refused:
        read_recipe(path)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_recipe_saved_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    path = tmp_path / "notepad.toml"
    path.write_text("seed = 3\n", encoding="utf-8-sig")
    assert read_recipe(path).seed == 3


def test_a_control_character_in_a_name_reads_back_the_same(tmp_path: Path) -> None:
    recipe = Recipe(name="a\x7fb\x1f")
    path = tmp_path / "full.toml"
    path.write_text(to_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe


def test_many_faults_are_counted_and_long_values_cut(tmp_path: Path) -> None:
    path = tmp_path / "many.toml"
    path.write_text("\n".join(f"key{n} = 1" for n in range(100)))
    with pytest.raises(RecipeError, match=r"\n\.\.\. and 80 more$"):
        read_recipe(path)
    with pytest.raises(RecipeError) as refused:
        read_recipe("lite", [f"schedule.epochs={'x' * 5000}"])
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("value", ["[" * 3000, f"{'9' * 5000}"])
def test_a_change_that_the_parser_gives_up_on_is_one_line(value: str) -> None:
    with pytest.raises(RecipeError) as refused:
        read_recipe("lite", [f"seed={value}"])
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 400


def test_a_change_sets_one_value_and_no_second(tmp_path: Path) -> None:
    assert read_recipe("lite", ["name='a'\nseed=7"]).seed != 7


def test_a_name_too_long_for_a_file_is_none() -> None:
    with pytest.raises(RecipeError, match="is neither a file nor"):
        read_recipe("a" * 5000)
