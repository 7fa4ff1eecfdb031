"""A training run: plan, fit, judge, publish, over one `RunFolder`."""
