"""Encryption at rest, by handlers of the user's: a `langgraph_sdk.Encryption`.

`sealer` calls the handlers, `loading` finds them; `journal` and `store` are those whose values go
through it. The columns of the server's own tables do so by their types (`storage.tables`).
"""
