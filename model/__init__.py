"""Canvas in, drafts out. Importing this package never imports torch."""

from model.canvas import Canvas, Card, Denoiser, Draft, Hole, ModelError, Piece

__all__ = ["Canvas", "Card", "Denoiser", "Draft", "Hole", "ModelError", "Piece"]
