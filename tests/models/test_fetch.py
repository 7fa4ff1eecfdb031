"""Fetching from a hub that is not there: one message for each failure, never a traceback."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants
import pytest
from huggingface_hub import errors

from atypia.cli.main import run
from atypia.models.backbones.registry import BackboneSpec

PAGE = "https://huggingface.co/someone/stand-in"


class _Response:
    """What the hub's errors want of an answer, in any version of its client."""

    def __init__(self, status: int) -> None:
        self.status_code = status
        self.headers: dict[str, str] = {}
        self.request = None
        self.text = ""


def _answer(kind: type[Exception], status: int) -> Exception:
    return kind("said\nin two lines", response=_Response(status))  # type: ignore[call-arg]


class _NetworkError(Exception):
    __module__ = "httpx._exceptions"


@pytest.fixture
def hub(
    stand_in: BackboneSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> dict[str, bytes | Exception]:
    """A hub with connection: file names, and what asking for them gives."""
    files: dict[str, bytes | Exception] = {}

    def download(repository: str, name: str, *, local_dir: Path | None = None) -> str:
        assert repository == stand_in.repository
        there = files.get(name, _answer(errors.RemoteEntryNotFoundError, 404))
        if isinstance(there, Exception):
            raise there
        file = (local_dir or tmp_path / "cache") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(there)
        return str(file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return files


def _fetch(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["atypia", "models", "fetch", *map(str, arguments)])
    try:
        run()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_it_says_where_the_file_lies_and_its_hash(
    hub: dict[str, bytes | Exception],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub["pytorch_model.bin"] = b"second choice"
    assert _fetch(monkeypatch, "stand-in", "--out", tmp_path / "w") == 0
    said = capsys.readouterr().out
    assert str(tmp_path / "w" / "pytorch_model.bin") in said
    assert hashlib.sha256(b"second choice").hexdigest() in said
    assert f"--weights {tmp_path / 'w'}" in said
    hub["model.safetensors"] = b"first choice"
    assert _fetch(monkeypatch, "stand-in") == 0
    assert str(tmp_path / "cache" / "model.safetensors") in capsys.readouterr().out


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (_answer(errors.GatedRepoError, 403), f"accept the conditions at {PAGE}"),
        (_answer(errors.HfHubHTTPError, 401), f"accept the conditions at {PAGE}"),
        (
            _answer(errors.RepositoryNotFoundError, 404),
            "someone/stand-in does not exist on the Hugging Face Hub",
        ),
        (_answer(errors.HfHubHTTPError, 500), "cannot be reached"),
        (errors.LocalEntryNotFoundError("no connection"), "cannot be reached"),
        (ConnectionError("refused"), "cannot be reached"),
        (_NetworkError("timed out"), "cannot be reached"),
        (errors.OfflineModeIsEnabled("offline"), "HF_HUB_OFFLINE is set"),
        (PermissionError(13, "denied", "locked/w"), "locked/w: cannot be written"),
        (
            _answer(errors.RemoteEntryNotFoundError, 404),
            "no longer contains any of model.safetensors",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_failure_is_one_line_and_exit_code_2(
    hub: dict[str, bytes | Exception],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    told: str,
) -> None:
    hub["model.safetensors"] = fault
    assert _fetch(monkeypatch, "stand-in") == 2
    said = capsys.readouterr()
    assert told in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert not said.out


def test_a_mistake_of_ours_is_not_taken_for_the_hubs(
    hub: dict[str, bytes | Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    hub["model.safetensors"] = KeyError("ours")
    with pytest.raises(KeyError):
        _fetch(monkeypatch, "stand-in")


def test_offline_and_packaged_are_told_before_the_hub_is_asked(
    stand_in: BackboneSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", asked)
    assert _fetch(monkeypatch, "stand-in") == 2
    assert "HF_HUB_OFFLINE is set" in capsys.readouterr().err
    assert _fetch(monkeypatch, "lite") == 2
    assert "nothing to fetch" in capsys.readouterr().err
