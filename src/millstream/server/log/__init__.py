"""The log of what runs say, encoded once, and its readers.

`run_log` is the log of one run, `thread_channel` what all runs of a thread say, `hub` where both
are found; `signal` is how readers wait. `event_ids` says what an event's id means.
"""
