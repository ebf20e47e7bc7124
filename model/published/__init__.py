"""Networks that others have published: what is known of them, and how their files are read."""
