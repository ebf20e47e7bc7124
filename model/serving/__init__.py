"""The model as a server of its own, shared by the windows of one user."""
