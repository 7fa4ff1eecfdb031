"""The exported network of a bundle, and what runtimes that compute it have in common.

`exported/` in the bundle holds `network.onnx` and, in `network.json`, its hash and that of the
bundle it was made of: exporting changes no bundle, and a network of another bundle is not used. All
its tensors lie in it: one that points to other files is refused.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from abc import abstractmethod
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atypia.bundle.load import Bundle
from atypia.bundle.manifest import EXPORTED_NAME
from atypia.bundle.save import put_in_place
from atypia.bundle.verify import bundle_hash
from atypia.errors import AtypiaError, BundleError
from atypia.inference.options import Precision, PredictOptions
from atypia.inference.runtimes.base import Runtime
from atypia.platform import count_usable_cores, flush_to_disk

NETWORK_NAME, ABOUT_NAME = "network.onnx", "network.json"
INPUT = "crops"
LOGITS, P, PHASE, EMBEDDING = "logits", "p_atypical", "phase", "embedding"

_AGAIN = "make it again with `atypia bundle export`"
# The key of a tensor's place in another file, as protobuf writes it: its tag, its length, its text.
_PLACE_ELSEWHERE = b"\x0a\x08location"


class AboutNetwork(BaseModel):
    """What `network.json` says of the network beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Annotated[Literal[2], Field(description="version of the folder's format")] = 2
    sha256: Annotated[str, Field(description="of the network's file")]
    bundle_sha256: Annotated[str, Field(description="of the bundle that it was made of")]
    members: Annotated[int, Field(ge=1, description="how many networks it computes")]


def exported_path(folder: Path) -> Path:
    """Return where the exported network of a bundle lies."""
    return folder / EXPORTED_NAME / NETWORK_NAME


def write_exported(folder: Path, network: bytes, bundle_sha256: str, members: int) -> Path:
    """Write the exported network of a bundle into it: the whole folder, or nothing of it.

    Args:
        folder: of the bundle.
        network: the content of the ONNX file.
        bundle_sha256: identifies the bundle.
        members: how many networks it computes.

    Raises:
        AtypiaError: the folder cannot be written.
    """
    about = AboutNetwork(
        sha256=hashlib.sha256(network).hexdigest(), bundle_sha256=bundle_sha256, members=members
    )
    place = folder / EXPORTED_NAME
    # Beside the bundle: what a killed command leaves behind must not lie in it.
    partial, old = (
        folder.with_name(f".{folder.name}.partial-{part}-{os.getpid()}")
        for part in ("exported", "exported-old")
    )
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        (partial / NETWORK_NAME).write_bytes(network)
        (partial / ABOUT_NAME).write_text(about.model_dump_json(indent=2) + "\n", encoding="utf-8")
        for path in (partial / NETWORK_NAME, partial / ABOUT_NAME):
            flush_to_disk(path)
        put_in_place(partial, place, old)
    except OSError as fault:
        raise AtypiaError(
            f"{place}: cannot be written ({fault.strerror or fault}); export to another place with "
            "--out FILE, or copy the bundle to one that you can write"
        ) from fault
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return exported_path(folder)


def require_replaceable_export(folder: Path) -> None:
    """Refuse to replace what `write_exported` did not write, or what has changed since.

    Raises:
        AtypiaError: naming it.
    """
    place = folder / EXPORTED_NAME
    try:
        names = {path.name for path in place.iterdir()}
        ours = names == {NETWORK_NAME, ABOUT_NAME} and not place.is_symlink()
        if ours and _hash(exported_path(folder)) == _read_about(folder).sha256:
            return
    except FileNotFoundError:
        return
    except (OSError, BundleError):
        pass
    raise AtypiaError(
        f"{place}: was not written by atypia, or has changed since; move it, or replace it with "
        "--overwrite"
    )


def exported_faults(folder: Path) -> list[str]:
    """Return why the exported network of a bundle cannot be used, a line; none without one."""
    if not (folder / EXPORTED_NAME).exists():
        return []
    try:
        read_exported(folder, bundle_hash(folder), None)
    except (BundleError, OSError) as fault:
        return [str(fault)]
    return []


def read_exported(folder: Path, sha256: str, members: int | None) -> bytes:
    """Read the exported network of a bundle, which must be its own and hold all its tensors.

    Args:
        folder: of the bundle.
        sha256: identifies the bundle.
        members: how many it must compute; None takes any number.

    Raises:
        BundleError: it cannot be read, was exported from another bundle, in another format, or
            points to other files; it has changed since; or it computes more or fewer members.
    """
    path, about = exported_path(folder), _read_about(folder)
    if about.bundle_sha256 != sha256:
        raise BundleError(f"{path}: was exported from another bundle than lies here; {_AGAIN}")
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise BundleError(f"{path}: cannot be read ({fault.strerror or fault}); {_AGAIN}") from None
    if hashlib.sha256(content).hexdigest() != about.sha256:
        raise BundleError(f"{path}: has changed since it was exported; {_AGAIN}")
    if _PLACE_ELSEWHERE in content:
        raise BundleError(f"{path}: points to other files, which are not read; {_AGAIN}")
    if members is not None and about.members != members:
        raise BundleError(
            f"{path}: computes {about.members} members, not {members}; make it again with "
            f"`atypia bundle export --members {members}`"
        )
    return content


def _read_about(folder: Path) -> AboutNetwork:
    path = folder / EXPORTED_NAME / ABOUT_NAME
    for part in (path.parent, path, exported_path(folder)):
        if part.is_symlink():
            raise BundleError(
                f"{part}: is a link; a bundle must contain plain files only; {_AGAIN}"
            )
    try:
        return AboutNetwork.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as fault:
        raise BundleError(
            f"{path}: cannot be read, or is of another version of atypia; {_AGAIN}"
        ) from fault


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


class ExportedRuntime(Runtime):
    """A runtime that computes the exported network, on the CPU. Attributes: `Runtime`."""

    on_gpu = False
    device_name = "cpu"

    @abstractmethod
    def __init__(self, model: bytes, precision: Precision, threads: int) -> None:
        """Prepare the content of an exported file for threads that share `threads` of the CPU."""

    @classmethod
    def why_not(cls, folder: Path, options: PredictOptions) -> str:
        """Return why it cannot compute a bundle with these options; "" where it can."""
        path = exported_path(folder)
        if options.device == "cuda":
            return "runs on the CPU only; leave out --device cuda"
        if options.weights is not None:
            return "the exported network holds all weights; leave out --weights"
        if not path.is_file():
            return f"{path} does not exist; make it with `atypia bundle export {folder}`"
        if cls.why_not_installed():
            return cls.why_not_installed()
        if options.precision not in ("auto", *cls.precisions):
            return (
                f"does not compute {options.precision} on a CPU; use --precision "
                f"{cls.precisions[0]}"
            )
        return ""

    @classmethod
    def load(cls, bundle: Bundle, options: PredictOptions) -> Self:
        """Load the exported network of a bundle.

        Raises:
            BundleError: it is at fault, or that of another bundle.
            OptionError: the bundle has fewer members.
        """
        count = len(bundle.manifest.first_members(options.members))
        model = read_exported(bundle.folder, bundle.sha256, count)
        return cls(model, cls.choose_precision(options), options.threads or usual_threads())


def usual_threads() -> int:
    """Return the number of CPU threads that torch would use."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdecimal() and int(asked) > 0 else count_usable_cores()
