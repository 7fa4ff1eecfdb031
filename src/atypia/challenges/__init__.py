"""Challenges: everything of one challenge in one room."""
