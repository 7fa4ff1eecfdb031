"""Components of a training, one a file: its section of the recipe and all that it does."""
