"""Running a graph: the only place that starts tasks, waits, sleeps and reads the clock.

`run` is what all tasks of one run share, `context` what one task is given. `task_execution` is the
life of a task, written once: what it waits for is in `waits`. `sync` and `aio` are the two drivers:
the same short loop around the core with a different way to wait; neither knows the other.
"""
