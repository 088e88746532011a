"""The servers that share a database: which of them live, and who takes over what one leaves.

`membership` is this one among them; what it holds and under which lease is in `storage.replicas`.
A server whose database is a file is alone.
"""
