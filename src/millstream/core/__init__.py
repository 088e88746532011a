"""The engine's decisions, without I/O.

Nothing in this package awaits, sleeps, starts a thread, reads a clock or draws a random number: a
driver tells the machine what happened and carries out what it answers. Read `protocol` first (the
whole boundary), then `machine` (the only mutator); the other modules are the rules it applies.
"""
