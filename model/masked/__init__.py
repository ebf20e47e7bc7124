"""The masked family: one transformer of our own, and the loop that refines a board with it."""
