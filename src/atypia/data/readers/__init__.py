"""Public layouts to the figure table: one layout a file."""
