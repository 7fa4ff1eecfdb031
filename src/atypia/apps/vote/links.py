"""Links into a study: a token of a name, made with the study's key, the same over restarts."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import quote

from atypia.errors import AtypiaError, suggest_name
from atypia.files import parse_json, write_text
from atypia.study.study import Study

LEAD = "lead"
_RENEWED = "links.json"


def make_token(study: Study, name: str) -> str:
    """Return the token of an expert or the lead."""
    content = f"link\0{name}\0{_read_renewals(study.folder).get(name, 0)}".encode()
    return hmac.new(study.key, content, hashlib.sha256).hexdigest()[:32]


def is_token(study: Study, name: str, token: str) -> bool:
    """Whether a token lets somebody in as an expert, or as the lead."""
    known = name == LEAD or name in study.settings.experts
    right = make_token(study, name)
    return hmac.compare_digest(right.encode(), token.encode("utf-8", "replace")) and known


def make_links(study: Study, address: str) -> dict[str, str]:
    """Return the link of each expert and the lead, by name.

    Args:
        study: open.
        address: of the server, such as `http://127.0.0.1:8808`.
    """
    names = (*study.settings.experts, LEAD)
    return {name: f"{address}/{quote(name)}/{make_token(study, name)}/" for name in names}


def renew_link(study: Study, name: str) -> None:
    """Make another link for somebody; the former one lets nobody in any more.

    Raises:
        AtypiaError: there is no such expert.
    """
    names = (*study.settings.experts, LEAD)
    if name not in names:
        raise AtypiaError(
            f"--renew {name}: expected {', '.join(names[:-1])} or {LEAD}{suggest_name(name, names)}"
        )
    renewals = _read_renewals(study.folder)
    renewals[name] = renewals.get(name, 0) + 1
    write_text(study.folder / _RENEWED, json.dumps(renewals, indent=2) + "\n")


def _read_renewals(folder: Path) -> dict[str, int]:
    path = folder / _RENEWED
    if not path.is_file():
        return {}
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
        return {str(name): int(count) for name, count in values.items()}
    except (OSError, ValueError, AttributeError, TypeError) as fault:
        raise AtypiaError(
            f"{path}: cannot be read; put it back from a copy of the study, or remove it (links "
            "that were renewed are then the first ones again)"
        ) from fault
