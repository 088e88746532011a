"""How a call of a compiled graph becomes a run, and its result."""
