"""Decides. No clock, socket, thread or randomness of its own: time, replies and dice come in as arguments."""
