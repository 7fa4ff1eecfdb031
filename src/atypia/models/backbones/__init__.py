"""Pretrained networks: a registry, one vendor a file."""
