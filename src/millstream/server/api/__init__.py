"""The HTTP API: one module for each resource, which parses, calls and says what came of it."""
