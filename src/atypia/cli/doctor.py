"""`atypia doctor`: what this machine offers, what is broken, and how to fix it."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from atypia.errors import describe_fault

if TYPE_CHECKING:
    from atypia.models.machine import Machine

OLDEST_PYTHON = (3, 11)
# A lite training with its cache and members, with room to spare.
WANTED_DISK_GB = 2.0


@dataclass(frozen=True)
class Check:
    """The result of one check.

    Attributes:
        level: ok; note: works, but could be better; broken: something will fail.
        what: what was found.
        fix: what to do about it; "" if nothing needs doing.
    """

    level: Literal["ok", "note", "broken"]
    what: str
    fix: str = ""


def doctor() -> None:
    """Check this machine: packages, GPU, CPU, disk space and network; problems come with a fix.

    Exits with 1 if something is broken.

    Example: atypia doctor
    """
    checks = [
        check_python(),
        *check_packages(requires("atypia") or []),
        *check_torch(),
        check_disk(Path.cwd()),
        check_hub(),
    ]
    for check in checks:
        typer.echo(f"{check.level:<7} {check.what}")
        if check.fix:
            typer.echo(f"        fix: {check.fix}")
    broken = sum(check.level == "broken" for check in checks)
    typer.echo(f"{broken} broken" if broken else "nothing is broken")
    if broken:
        raise typer.Exit(1)


def check_python() -> Check:
    """Check the Python version."""
    python = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info[:2] < OLDEST_PYTHON:
        return Check(
            "broken",
            f"Python {python} is too old",
            f"make a virtual environment with Python {'.'.join(map(str, OLDEST_PYTHON))} or newer",
        )
    return Check("ok", f"Python {python}")


def check_torch() -> list[Check]:
    """Check torch, whether torchvision fits it, the GPU and the CPU's arithmetic."""
    if find_spec("torch") is None:
        return [
            Check(
                "ok",
                "torch is not installed: bundles that are exported are classified without it",
                "pip install 'atypia[train]' to train, to export, or to use a GPU",
            )
        ]
    try:
        from atypia.models.machine import inspect_machine
    except (ImportError, OSError) as fault:
        return [
            Check(
                "broken",
                f"torch cannot be imported ({describe_fault(fault)})",
                "in a new virtual environment: pip install 'atypia[train]'",
            )
        ]
    machine = inspect_machine()
    return [
        Check("ok", f"torch {machine.torch}, {machine.threads} threads"),
        check_torchvision(),
        _check_gpu(machine),
        _check_arithmetic(machine),
    ]


def check_torchvision() -> Check:
    """Check that torchvision was built for this torch: only then do its operators load."""
    from atypia.models.machine import load_torchvision

    try:
        return Check("ok", f"torchvision {load_torchvision()}")
    except (ImportError, OSError, RuntimeError) as fault:
        return Check(
            "broken",
            f"torchvision does not fit torch {_version('torch')} ({describe_fault(fault)})",
            "install both from one place at once: pip install --force-reinstall torch torchvision",
        )


def _check_gpu(machine: Machine) -> Check:
    if machine.gpu:
        return Check("ok", f"GPU {machine.gpu}")
    if shutil.which("nvidia-smi"):
        return Check(
            "note",
            "an NVIDIA driver is installed, but torch finds no GPU",
            "update the driver, or install a torch built for its CUDA version",
        )
    return Check("ok", "no GPU; everything runs on the CPU")


def _check_arithmetic(machine: Machine) -> Check:
    if machine.bf16:
        return Check("ok", f"CPU: {machine.cpu} with bf16; training and prediction run in it")
    return Check(
        "note",
        f"CPU: {machine.cpu} without bf16; training and prediction run in fp32, at about half the "
        "speed",
    )


def check_disk(folder: Path) -> Check:
    """Check the free space of the current folder's disk."""
    free = shutil.disk_usage(folder).free / 1e9
    if free < WANTED_DISK_GB:
        return Check(
            "broken",
            f"{free:.1f} GB free in {folder}, training needs about {WANTED_DISK_GB:g} GB",
            "free some space, or work in a folder on another disk",
        )
    return Check("ok", f"{free:.0f} GB free in {folder}")


def check_hub() -> Check:
    """Check whether backbones may be fetched from the Hugging Face Hub."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "TRUE", "YES", "ON"):
        return Check(
            "note",
            "HF_HUB_OFFLINE is set: backbones cannot be fetched (lite comes with atypia)",
            "unset HF_HUB_OFFLINE to fetch other backbones",
        )
    return Check("ok", "backbones may be fetched (HF_HUB_OFFLINE is not set)")


def check_packages(requirements: Sequence[str]) -> list[Check]:
    """Compare what is installed with what is required.

    Args:
        requirements: as in the package's metadata, such as `torch>=2.6` or
            `pytest>=8; extra == "dev"`.

    Returns:
        One check for the required packages, and one for each extra.
    """
    from packaging.requirements import Requirement

    faults_of: dict[str, list[str]] = {"": []}
    for text in requirements:
        requirement = Requirement(text)
        # An extra's requirements carry the marker `extra == "name"`.
        extra = re.search(r"extra == ['\"]([^'\"]+)", str(requirement.marker or ""))
        group = extra[1] if extra else ""
        faults = faults_of.setdefault(group, [])
        if requirement.marker and not requirement.marker.evaluate({"extra": group}):
            continue
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            faults.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            faults.append(f"{requirement.name} is {installed}, not {requirement.specifier}")
    missing = faults_of.pop("")
    checks = [Check("ok", "all required packages are installed")]
    if missing:
        fix = "pip install --upgrade atypia"
        checks = [Check("broken", "packages: " + "; ".join(missing), fix)]
    for name, faults in faults_of.items():
        state = f"not installed ({'; '.join(faults)})" if faults else "installed"
        fix = f"pip install 'atypia[{name}]' to use it" if faults else ""
        checks.append(Check("ok", f"extra {name}: {state}", fix))
    return checks


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"
