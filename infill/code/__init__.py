"""What source text is: trees, names, what the syntax asks for next. Knows no holes, no models."""
