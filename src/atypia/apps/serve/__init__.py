"""Classification at an address: crops, and points on slides, for programs that hold no Python."""
