"""How good and how fast fills are, measured the way an editor gets them."""
