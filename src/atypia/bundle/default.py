"""The bundle that comes with atypia."""

from __future__ import annotations

from pathlib import Path

from atypia.bundle.manifest import MANIFEST_NAME
from atypia.errors import AtypiaError
from atypia.files import shipped_folder

DEFAULT_BUNDLE = "atypia-lite"


def default_bundle() -> Path:
    """Return the folder of the bundle that is used where none is named.

    Raises:
        AtypiaError: it is not where it was installed.
    """
    folder = shipped_folder("bundles")
    if folder is None or not (folder / DEFAULT_BUNDLE / MANIFEST_NAME).is_file():
        raise AtypiaError(
            f"no bundle was given, and {DEFAULT_BUNDLE}, which comes with atypia, is missing "
            "from the installation; reinstall atypia, or give the folder of a bundle"
        )
    return folder / DEFAULT_BUNDLE
