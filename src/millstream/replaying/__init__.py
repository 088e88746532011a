"""Recordings as the streams of a graph: `replay` has the methods of a graph that show a run, `pace`
how fast. How a file is read is said in `millstream.recording`."""
