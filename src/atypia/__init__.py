"""atypia: tell atypical from normal mitotic figures in H&E histology."""
