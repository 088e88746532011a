"""How readers of a run stream wait, and what carries the run on for them."""
