"""What the machine of a run is told, as lines of JSON from which its decisions can be made again.

The machine does no I/O and draws nothing, so everything it decides follows from its graph and its
inputs. `log` says whether a run writes them down, `machine` is the one that does, `values` has the
form of what is in them, and `replay` feeds them to a fresh machine. What a run does between its
inputs (calling nodes, waiting, storing) is not here: that is the drivers' part.
"""
