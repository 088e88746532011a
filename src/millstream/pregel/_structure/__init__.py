"""What a compiled graph consists of, and what can be said of it."""
