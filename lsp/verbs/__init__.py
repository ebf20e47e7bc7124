"""The verbs of the command line: for each what it teaches, what it takes, and whom it calls."""
