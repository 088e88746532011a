"""Runs in the protocols of front ends: what a graph says, as a page's client library reads it.

`aisdk` speaks to pages that are made with the AI SDK, `openai` to clients of OpenAI's API, `agui`
to those of AG-UI. Read `facts` first: what every protocol has a form for. `reading` makes facts of
the events of a run stream, `running` carries a run on and has an encoder say it. Nothing here knows
HTTP: the lines that are yielded can be sent by any web framework, and the server sends them.
"""
