"""Reports in HTML: their templates, how numbers are written in them, pictures inside."""

from __future__ import annotations

import base64
import math

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template

_OWN = "atypia.evaluation"


def open_template(name: str, package: str = _OWN) -> Template:
    """Return a template; whatever is put into it is escaped.

    Args:
        name: of the file. Filters: `number`, `percent`, `interval`.
        package: whose templates, before those here (`report.css` is the look of all reports).
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(each, "templates") for each in (package, _OWN)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _format_number
    environment.filters["percent"] = _format_percent
    environment.filters["interval"] = _format_interval
    return environment.get_template(name)


def data_uri(content: bytes, kind: str) -> str:
    """Return a picture as an address that holds it; `kind` is `image/png` and the like."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def _format_number(value: float | None) -> str:
    """Return three decimals, or a dash if undefined."""
    return "–" if value is None or _is_absent(value) else f"{value:.3f}"


def _format_percent(value: float | None) -> str:
    """Return a share in percent, or a dash if undefined."""
    return "–" if value is None or _is_absent(value) else f"{100 * value:.1f} %"


def _format_interval(low: float | None, high: float | None) -> str:
    """Return both ends, or nothing if there is no interval."""
    return (
        ""
        if _is_absent(low) or _is_absent(high)
        else f"{_format_number(low)}-{_format_number(high)}"
    )
