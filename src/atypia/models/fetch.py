"""Fetch a backbone's weights from the Hugging Face Hub: the only code that goes online."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from atypia.errors import AtypiaError, describe_fault
from atypia.models.backbones.registry import BackboneSpec

# Whatever library the hub's client speaks through in the installed version.
_NETWORK = ("httpx", "httpcore", "requests", "urllib3", "hf_xet")
_REFUSED = (401, 403)


def fetch_weights(spec: BackboneSpec, out: Path | None = None) -> Path:
    """Fetch the published weights; an interrupted download resumes.

    HF_TOKEN, a token from `hf auth login`, HF_HUB_OFFLINE and HF_HOME are obeyed.

    Args:
        spec: of the backbone.
        out: folder for the file; none puts it into the local Hugging Face cache.

    Returns:
        Where the file lies.

    Raises:
        AtypiaError: the weights come inside a package, being online is forbidden, access is not
            granted, the repository or its files are gone, or there is no connection.
    """
    from huggingface_hub import constants, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    if spec.packaged is not None:
        raise AtypiaError(f"{spec.key} comes with its weights; there is nothing to fetch")
    if constants.HF_HUB_OFFLINE:
        raise AtypiaError(_offline(spec))
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs every retry
    for name in spec.files:
        try:
            return Path(hf_hub_download(spec.repository, name, local_dir=out))
        except PermissionError as fault:
            raise AtypiaError(
                f"{fault.filename}: cannot be written; choose another --out"
            ) from fault
        except Exception as fault:
            # That a file is missing on the hub is one thing, that the hub is out of reach another.
            absent = isinstance(fault, EntryNotFoundError)
            if absent and not isinstance(fault, LocalEntryNotFoundError):
                continue
            disk_full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)
            message = None if disk_full else _fault_message(fault, spec)
            if message is None:
                raise
            raise AtypiaError(message) from fault
    raise AtypiaError(
        f"{spec.key}: {spec.page} no longer contains any of {', '.join(spec.files)}; check "
        "the page, download the file yourself and pass it with --weights"
    )


def _fault_message(fault: Exception, spec: BackboneSpec) -> str | None:
    """Say what went wrong and what to do about it; none where it is not the hub's or a user's."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    if isinstance(fault, OfflineModeIsEnabled):
        return _offline(spec)
    status = getattr(getattr(fault, "response", None), "status_code", None)
    if isinstance(fault, GatedRepoError) or (
        isinstance(fault, HfHubHTTPError)
        and not isinstance(fault, RepositoryNotFoundError)
        and status in _REFUSED
    ):
        return (
            f"{spec.key}: access is not granted; accept the conditions at {spec.page} while logged "
            "in, wait for approval if it is granted by hand, then set HF_TOKEN to a token of that "
            "account (huggingface.co/settings/tokens) and run the command again"
        )
    if isinstance(fault, RepositoryNotFoundError):
        return (
            f"{spec.key}: {spec.repository} does not exist on the Hugging Face Hub, or is hidden "
            f"without a token; open {spec.page}, and set HF_TOKEN if it asks you to log in"
        )
    if isinstance(fault, OSError) or type(fault).__module__.split(".")[0].startswith(_NETWORK):
        return (
            f"{spec.key}: huggingface.co cannot be reached ({describe_fault(fault)}); run this "
            "on a connected machine with --out DIR, copy DIR here and pass --weights DIR; an "
            "interrupted download resumes"
        )
    return None


def _offline(spec: BackboneSpec) -> str:
    return (
        f"{spec.key}: HF_HUB_OFFLINE is set, so nothing is fetched; unset it, or run this on a "
        "connected machine with --out DIR, copy DIR here and pass --weights DIR"
    )
