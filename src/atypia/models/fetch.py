"""Fetch a backbone's weights from the Hugging Face Hub: the only code that goes online."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from atypia.errors import AtypiaError
from atypia.models.backbones.registry import BackboneSpec

# Whatever library the hub's client speaks through in the installed version.
_NETWORK = ("httpx", "httpcore", "requests", "urllib3", "hf_xet")
_REFUSED = (401, 403)


def fetch_weights(spec: BackboneSpec, out: Path | None = None) -> Path:
    """Fetch the published weights; a fetch that was cut off goes on where it stopped.

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
        raise AtypiaError(f"{spec.key} brings its weights along; there is nothing to fetch")
    if constants.HF_HUB_OFFLINE:
        raise AtypiaError(_offline(spec))
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it tells of every retry
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
            told = None if disk_full else _told(fault, spec)
            if told is None:
                raise
            raise AtypiaError(told) from fault
    raise AtypiaError(
        f"{spec.key}: {spec.page} holds none of {', '.join(spec.files)} any more; look there what "
        "became of them, and give the file with --weights"
    )


def _told(fault: Exception, spec: BackboneSpec) -> str | None:
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
            "in, wait where they are granted by hand, then set HF_TOKEN to a token of that account "
            "(huggingface.co/settings/tokens) and run this again"
        )
    if isinstance(fault, RepositoryNotFoundError):
        return (
            f"{spec.key}: the hub knows no {spec.repository}, or shows it to no one without a "
            f"token; look at {spec.page}, and set HF_TOKEN if it asks you to log in"
        )
    if isinstance(fault, OSError) or type(fault).__module__.split(".")[0].startswith(_NETWORK):
        reason = " ".join(str(fault).split())[:150]
        return (
            f"{spec.key}: huggingface.co cannot be reached ({reason}); run this on a connected "
            "machine with --out DIR, copy DIR here and give --weights DIR; a fetch that was cut "
            "off goes on where it stopped"
        )
    return None


def _offline(spec: BackboneSpec) -> str:
    return (
        f"{spec.key}: HF_HUB_OFFLINE is set, so nothing is fetched; unset it, or run this on a "
        "connected machine with --out DIR, copy DIR here and give --weights DIR"
    )
