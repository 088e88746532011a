"""The view of a run on a terminal: what happens now at the bottom, what has happened above it.

`activity` knows which tasks run and how often each node did, `transcript` what one task says,
`picture` makes lines of both, `table` counts in the end; none of them does I/O. `paper` is what the
terminal can show, `screen` writes to it, `printed` takes what programs print meanwhile, `retries`
hears of attempts that failed. `view` is the whole: events go in, pictures come out of a thread, so
that time goes on being shown while nothing happens. `dots` is for terminals that cannot move the
cursor. Read `view` first.
"""
