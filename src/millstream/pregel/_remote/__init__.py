"""Graphs on a server: what a call becomes on the wire, and what comes back."""
