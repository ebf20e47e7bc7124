"""A network that is elsewhere, asked over HTTP: another family of networks, without torch."""
