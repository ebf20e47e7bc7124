"""One resident model for many windows: what serves it, what asks it, and what goes between them."""
