"""Slides: windows around points, read at the resolution that a classifier wants."""

from atypia.data.slides.open_slide import open_slide
from atypia.data.slides.slide import Origin, Slide

__all__ = ["Origin", "Slide", "open_slide"]
