"""The events of a run stream, and the mux they go through."""
