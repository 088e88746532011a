"""The doorbell: replicas that share a PostgreSQL database tell each other that rows are new.

`doorbell` rings and hears, `listening` is the connection that hears, `relay` a Redis server that
may be in between, `pauses` how long it is waited for either, `news` what is said. All that
counts is in rows: who misses a ring finds them when it looks the next time.
"""
