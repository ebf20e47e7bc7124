"""How long a hole is, where the network cannot make it longer or shorter by itself."""
