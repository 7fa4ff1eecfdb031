"""The library's parts in order: train, evaluate, predict, demo. No mathematics."""
