"""Runs of the server in the protocols of front ends: see `millstream.protocols`.

A run is one as any other, with the stream modes that its protocol needs. `events` makes protocol
events of what is in its log; `source` has an encoder say it to a client, from the beginning again
where a page was loaded anew.
"""
