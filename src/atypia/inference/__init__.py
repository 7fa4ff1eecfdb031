"""From a bundle and images to predictions: predictor, sources, sinks."""
