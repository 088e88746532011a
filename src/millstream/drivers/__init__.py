"""Running a graph: the only place that starts tasks and waits for them.

`run` is what all tasks of one run share, `options` what is known of it before it starts, `context`
what one task is given, `task_execution` the life of a task, written once; what it waits for goes
through `waits`. `sync` and `aio` are the two drivers: the same short loop around the core with a
different way to wait; neither knows the other. Internal: programs use `pregel` and `graph`.
"""
