"""What the page of the routes says that FastAPI cannot read off the code: forms and refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atypia.apps.serve.answers import Refusal
from atypia.apps.serve.crops import MOST_CROPS
from atypia.data.columns import MPP_HIGH, MPP_LOW

REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": text}
    for status, text in {
        400: "The request cannot be read.",
        401: "The token is missing or wrong.",
        403: "The request comes from another page.",
        405: "Expected GET or POST.",
        408: "Nothing more of the request has come.",
        413: "Too large: a crop, the request, or their number.",
        421: "The request names another host.",
        422: "A field is missing or out of range, or nothing of it can be used.",
        429: "Too many crops wait: try again after the seconds of Retry-After.",
        503: "The network failed: try again.",
    }.items()
}
NO_SLIDE: dict[int | str, dict[str, Any]] = {
    404: {"model": Refusal, "description": "There is no such slide below the server's root."}
}


def _form(required: Sequence[str], **fields: dict[str, Any]) -> dict[str, Any]:
    """Return what OpenAPI says of a request with fields."""
    schema = {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


_FILE = {"type": "string", "format": "binary"}
_MPP = {
    "type": "number",
    "minimum": MPP_LOW,
    "maximum": MPP_HIGH,
    "examples": [0.25],
    "description": "um/px of all crops; or a value for each, in order.",
}
CROPS_FORM = _form(
    ("files", "mpp"),
    files={
        "type": "array",
        "items": _FILE,
        "minItems": 1,
        "maxItems": MOST_CROPS,
        "description": "PNG, JPEG, TIFF, BMP or WebP, 8-bit RGB, each with its figure at the "
        "centre.",
    },
    mpp=_MPP,
)
SLIDE_FORM = _form(
    ("slide", "points"),
    slide={
        "type": "string",
        "examples": ["2026/case-7.svs"],
        "description": "Path of a slide below the server's root.",
    },
    points=_FILE | {"description": "GeoJSON of QuPath."},
    mpp=_MPP | {"description": "um/px of level 0, where the slide's file states none."},
)
