"""What must not grow: the cost of a unit of work while there is more and more of everything else.

`measuring` counts and times, `graphs` has what is measured. Each test compares two sizes in one
process. Bounds on counts are close, because counts repeat; bounds on times leave room for a machine
that does other things, and are far from what a cost that grows would reach.
"""
