"""What knows nothing of runs: texts, threads, the clock, state classes, functions."""
