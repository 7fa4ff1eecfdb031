"""What computes a bundle: one file a runtime, found by being here; see `base.py`."""
