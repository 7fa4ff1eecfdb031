"""atypia: tell atypical from normal mitotic figures in H&E histology."""

__version__ = "0.1.0"
