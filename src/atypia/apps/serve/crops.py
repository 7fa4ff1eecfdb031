"""Crops out of a request: each a file, all at one resolution or each at its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from atypia.data.images import decode_image
from atypia.errors import AtypiaError
from atypia.files import escape_text
from atypia.inference.sources import Figure, require_mpp

MOST_CROPS = 256
"""Crops in a request."""

_MOST_TEXT = 256


@dataclass(frozen=True)
class SentCrop:
    """A crop as it was sent.

    Attributes:
        name: of its file.
        data: bytes of an image file.
        mpp: um/px.
    """

    name: str
    data: bytes
    mpp: float

    def figure(self) -> Figure:
        """Return it as a figure to classify."""
        read = partial(decode_image, self.data, self.name)
        return Figure(self.name, self.name, self.mpp, "given", read)


async def read_crops(request: Request) -> list[SentCrop]:
    """Read the fields `files` and `mpp` of a request.

    Raises:
        HTTPException: a field is missing, unknown or out of range, or there are too many files.
    """
    async with request.form(max_files=MOST_CROPS + 1, max_fields=MOST_CROPS + 1) as form:
        refuse_unknown(form, ("files", "mpp"))
        files = form.getlist("files")
        uploads = [file for file in files if isinstance(file, UploadFile)]
        if not uploads or len(uploads) < len(files):
            raise HTTPException(422, "files: expected image files, each with its name")
        if len(uploads) > MOST_CROPS:
            raise HTTPException(413, f"files: over {MOST_CROPS}; send them in several requests")
        mpps = [read_mpp(value) for value in form.getlist("mpp")]
        if len(mpps) not in (1, len(uploads)):
            raise HTTPException(
                422,
                f"mpp: {len(mpps)} values for {len(uploads)} files; expected um/px once for all of "
                "them, or once for each, in order",
            )
        if len(mpps) == 1:
            mpps *= len(uploads)
        return [
            SentCrop(escape_text(upload.filename or str(position)), await upload.read(), mpp)
            for position, (upload, mpp) in enumerate(zip(uploads, mpps, strict=True), start=1)
        ]


def read_mpp(value: object) -> float:
    """Return a field's um/px.

    Raises:
        HTTPException: it is no number, or one that no microscope has.
    """
    text = value if isinstance(value, str) else "a file"
    try:
        mpp = float(text)
        require_mpp(mpp)
    except ValueError:
        raise HTTPException(
            422, f"mpp: {escape_text(text[:_MOST_TEXT])} is no number; expected um/px, such as 0.25"
        ) from None
    except AtypiaError as fault:
        raise HTTPException(422, str(fault)) from None
    return mpp


def refuse_unknown(form: FormData, known: tuple[str, ...]) -> None:
    """Refuse fields that nobody reads: what is misspelt would be as if it were not there.

    Raises:
        HTTPException: naming the first one.
    """
    for name in form:
        if name not in known:
            raise HTTPException(
                422,
                f"{escape_text(name[:_MOST_TEXT])}: there is no such field; the fields are "
                f"{', '.join(known)}",
            )
