"""The servers that share a database: which of them live, and who takes over what one leaves.

`membership` is this one among them, `lease` shows that it lives and sees who does not; what it
holds, and until when, is in `storage.replicas`. A server whose database is a file is alone.
"""
