"""Reading and changing what is saved of a graph's threads."""
