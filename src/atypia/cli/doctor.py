"""`atypia doctor`: what this machine offers, what is broken, and the fix for it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import typer

OLDEST_PYTHON = (3, 11)
# A lite training with its cache and members, with room to spare.
WANTED_DISK_GB = 2.0


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        level: ok; note: works, could be better; broken: something will fail.
        what: what was found.
        fix: what to do about it, "" where nothing.
    """

    level: Literal["ok", "note", "broken"]
    what: str
    fix: str = ""


def doctor() -> None:
    """Look at this machine: versions, GPU, fast arithmetic, disk, network; each with its fix.

    Exits with 1 if something is broken.

    Example: atypia doctor
    """
    findings = [
        find_python(),
        *find_packages(requires("atypia") or []),
        *find_torch(),
        find_disk(Path.cwd()),
        find_hub(),
    ]
    for finding in findings:
        typer.echo(f"{finding.level:<7} {finding.what}")
        if finding.fix:
            typer.echo(f"        fix: {finding.fix}")
    broken = sum(finding.level == "broken" for finding in findings)
    typer.echo(f"{broken} broken" if broken else "nothing is broken")
    if broken:
        raise typer.Exit(1)


def find_python() -> Finding:
    """Look at the Python that runs this."""
    here = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Finding(
            "broken",
            f"Python {here} is too old",
            f"make a virtual environment with Python {'.'.join(map(str, OLDEST_PYTHON))} or newer",
        )
    return Finding("ok", f"Python {here}")


def find_torch() -> list[Finding]:
    """Look at torch, whether torchvision fits it, the GPU and the CPU's arithmetic."""
    try:
        import torch
    except (ImportError, OSError) as fault:
        return [
            Finding(
                "broken",
                f"torch cannot be imported ({_one_line(fault)})",
                "in a new virtual environment: pip install atypia",
            )
        ]
    return [
        Finding("ok", f"torch {torch.__version__}, {torch.get_num_threads()} threads"),
        find_torchvision(),
        _find_gpu(),
        _find_arithmetic(),
    ]


def find_torchvision() -> Finding:
    """Look whether torchvision belongs to this torch: its operators load only if it does."""
    try:
        import torchvision
        from torchvision.ops import nms  # noqa: F401
    except (ImportError, OSError, RuntimeError) as fault:
        return Finding(
            "broken",
            f"torchvision does not fit torch {_version('torch')} ({_one_line(fault)})",
            "install both from one place at once: pip install --force-reinstall torch torchvision",
        )
    return Finding("ok", f"torchvision {torchvision.__version__}")


def _find_gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        return Finding(
            "ok", f"GPU {gpu.name}, {gpu.total_memory / 2**30:.0f} GiB, CUDA {torch.version.cuda}"
        )
    if shutil.which("nvidia-smi"):
        return Finding(
            "note",
            "an NVIDIA driver is here, but torch finds no GPU",
            "bring the driver up to date, or install a torch built for its CUDA version",
        )
    return Finding("ok", "no GPU; everything runs on the CPU")


def _find_arithmetic() -> Finding:
    import torch

    from atypia.models.cpu import cpu_has_bf16

    capability = torch.backends.cpu.get_cpu_capability()
    if cpu_has_bf16():
        return Finding("ok", f"CPU: {capability} with bf16; training and prediction run in it")
    return Finding(
        "note",
        f"CPU: {capability} without bf16; training and prediction run in fp32, at about half the "
        "speed",
    )


def find_disk(folder: Path) -> Finding:
    """Look at the free space where the user stands."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < WANTED_DISK_GB:
        return Finding(
            "broken",
            f"{free:.1f} GB free in {folder}, a training wants {WANTED_DISK_GB:g} GB",
            "free some space, or work in another folder",
        )
    return Finding("ok", f"{free:.0f} GB free in {folder}")


def find_hub() -> Finding:
    """Look whether backbones may be fetched from the Hugging Face Hub."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return Finding(
            "note",
            "HF_HUB_OFFLINE is set: backbones are not fetched (lite needs no fetching)",
            "unset HF_HUB_OFFLINE to fetch others",
        )
    return Finding("ok", "backbones may be fetched (HF_HUB_OFFLINE is not set)")


def find_packages(requirements: Sequence[str]) -> list[Finding]:
    """Compare what is installed with what is required.

    Args:
        requirements: as in the package's metadata, such as `torch>=2.6` or
            `pytest>=8; extra == "dev"`.

    Returns:
        One finding for the packages that must be there, and one for each extra.
    """
    from packaging.requirements import Requirement

    wrong: dict[str, list[str]] = {"": []}
    for text in requirements:
        one = Requirement(text)
        # An extra's requirements carry the marker `extra == "name"`.
        extra = re.search(r"extra == ['\"]([^'\"]+)", str(one.marker or ""))
        group = extra[1] if extra else ""
        faults = wrong.setdefault(group, [])
        if one.marker is not None and not one.marker.evaluate({"extra": group}):
            continue
        try:
            found = version(one.name)
        except PackageNotFoundError:
            faults.append(f"{one.name} is missing")
            continue
        if not one.specifier.contains(found, prereleases=True):
            faults.append(f"{one.name} is {found}, not {one.specifier}")
    needed = wrong.pop("")
    findings = [Finding("ok", "all packages it needs are installed")]
    if needed:
        fix = "pip install --upgrade atypia"
        findings = [Finding("broken", "packages: " + "; ".join(needed), fix)]
    for name, faults in wrong.items():
        state = f"not installed ({'; '.join(faults)})" if faults else "installed"
        fix = f"pip install 'atypia[{name}]', if you want it" if faults else ""
        findings.append(Finding("ok", f"extra {name}: {state}", fix))
    return findings


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def _one_line(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:200] or type(fault).__name__
