"""The life of a run on the server."""
