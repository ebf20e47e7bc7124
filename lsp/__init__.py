"""What an editor says, and nothing else: text sync, positions, requests, commands over stdio."""
