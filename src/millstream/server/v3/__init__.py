"""Threads as streams of protocol events, and commands: version 3 of the streaming API.

A run tells its events in the shape of the protocol into its log, beside what the older API shows
(`projection`); a client reads those of a thread, through a filter, over server-sent events or a
WebSocket (`source`, `websocket`), and says by commands what is to happen (`commands`).
"""
