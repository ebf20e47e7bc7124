"""Which of a model's texts is worth showing. Asks no model itself, but for a second chance."""
