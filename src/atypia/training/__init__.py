"""From a recipe and a figure table to trained members."""
