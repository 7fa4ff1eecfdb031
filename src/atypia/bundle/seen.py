"""The figures that a bundle was trained on, as hashes, so that a judgement on them is noticed.

The hashes are salted and cut short: an image can be recognised by them, and not be read out of
them.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from atypia.data.images import read_image
from atypia.errors import BundleError, ImageError
from atypia.files import parse_json, sha256

SEEN_NAME = "seen.json"
_HASH_BYTES = 8
_THREADS = 2


def write_seen(folder: Path, members: Iterable[str], images: Sequence[Path]) -> None:
    """Write the hashes of the images that members were trained on into their bundle.

    Args:
        folder: of the bundle.
        members: names of its members' files, which lie there and make the salt.
        images: that can be read.
    """
    joined = "".join(sha256(folder / name) for name in members)
    salt = hashlib.sha256(joined.encode()).hexdigest()
    hashes = sorted({digest for digest in _hashes(images, salt) if digest is not None})
    content = {"salt": salt, "images": hashes}
    (folder / SEEN_NAME).write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")


def count_seen(folder: Path, images: Sequence[Path]) -> int:
    """Return how many images are among those that a bundle was trained on, by their pixels.

    Args:
        folder: of a bundle that is intact; one that does not know its images has seen none.
        images: those that cannot be read are not among them.

    Raises:
        BundleError: the bundle's list is damaged.
    """
    path = folder / SEEN_NAME
    if not path.is_file():
        return 0
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        salt, seen = str(content["salt"]), set(map(str, content["images"]))
    except (ValueError, KeyError, TypeError) as fault:
        raise BundleError(f"{path}: cannot be read; fetch or train the bundle again") from fault
    return sum(digest in seen for digest in _hashes(images, salt))


def _hashes(images: Sequence[Path], salt: str) -> Iterable[str | None]:
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(lambda path: _hash(path, salt), images)


def _hash(path: Path, salt: str) -> str | None:
    try:
        pixels = read_image(path)
    except ImageError:
        return None
    digest = hmac.new(salt.encode(), repr(pixels.shape).encode(), hashlib.sha256)
    digest.update(pixels.tobytes())
    return digest.digest()[:_HASH_BYTES].hex()
