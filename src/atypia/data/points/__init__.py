"""Points on a slide: read from what detectors and QuPath write, and given back to QuPath."""
