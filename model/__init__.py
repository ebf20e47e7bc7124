"""Canvas in, drafts out. Importing this package never imports torch."""

from model.canvas import Canvas, Card, Claim, Denoiser, Draft, Hole, ModelError, Piece

__all__ = ["Canvas", "Card", "Claim", "Denoiser", "Draft", "Hole", "ModelError", "Piece"]
