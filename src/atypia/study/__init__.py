"""Votes of several experts on the same figures: rules, queues, store, agreement. Knows no web."""
