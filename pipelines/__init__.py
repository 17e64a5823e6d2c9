"""Programs: the only room that sees the recognizer and the networks."""
