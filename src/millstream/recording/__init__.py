"""Recordings: what a run says, kept in a file, to be shown again without the graph and its models.

A recording has the parts of a run as the engine tells them, before a consumer chooses among them:
so one file gives every form of stream. `values` is how what a graph emits becomes JSON and comes
back, `lines` what stands in a line of the file; `tape` is what a run tells, `taps` the ears of a
tape among LangChain's callbacks, `writing` the thread that compresses and writes, `reading` the way
back. `millstream.replaying` shows a recording as the streams of a graph.
"""

from __future__ import annotations

from millstream.recording.recording import Recording

__all__ = ("Recording",)
