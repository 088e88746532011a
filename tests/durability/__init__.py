"""What survives when a process is killed, and what a run may hold back from its saver.

`program` is the graph that is killed, `killing` kills it, `history` reads what it left behind,
`savers` are savers that are slow or fail. `docs/durability.md` promises what is asserted here.
"""
