"""What consumers see of a run.

`modes` turns the facts a run tells about itself into payloads, one projector per stream mode;
`parts` is the one shape in which payloads of every nesting level travel, and encodes it for the
consumer. Nothing here runs a graph or waits.
"""
