"""millstream under the name of LangGraph, for programs and packages written for that.

`finder` makes `langgraph` mean millstream, `names` says which module stands for which, `hook` is
for worker processes. The other modules have what well-known packages import from LangGraph's
private modules, and nothing in millstream but this package needs them.
"""
