"""DiffusionGemma: a causal encoder remembers the prompt, a canvas beside it is refined."""
