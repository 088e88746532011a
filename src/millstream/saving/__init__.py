"""Between a run and its saver: what is loaded, what is stored, in which order."""
