"""MIDOG 2025, track 2: the stack it hands over, its answers, its program and its protocol."""
