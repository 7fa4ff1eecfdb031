"""A synthetic cohort of mitotic figures whose truth is known."""

from atypia.data.phantom.cohort import make_phantom

__all__ = ["make_phantom"]
