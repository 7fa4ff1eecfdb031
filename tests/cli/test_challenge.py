"""`atypia challenge midog25-t2` as a user meets it: what it prints, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from atypia.challenges.midog25.answers import ANSWERS_NAME
from atypia.cli.main import app
from stacks import write_stack


def test_a_page_that_cannot_be_used_is_counted_and_ends_with_1(
    small_bundle: Path, tmp_path: Path
) -> None:
    good = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    out = tmp_path / "out"
    for name, pages, code, counts in (
        ("good", (good, good), 0, "2 pages: "),
        ("grey", (good, good[..., 0]), 1, "2 pages (1 unusable, named above): "),
    ):
        places = ("--input", write_stack(tmp_path / name, [*pages]), "--output", out / name)
        command = ["challenge", "midog25-t2", *places, "--bundle", small_bundle]
        result = CliRunner().invoke(app, [str(word) for word in command])
        assert result.exit_code == code, result.output
        assert result.stdout.startswith(counts)
        assert f"wrote {out / name / ANSWERS_NAME}" in result.stdout
        assert len(json.loads((out / name / ANSWERS_NAME).read_text())) == 2
