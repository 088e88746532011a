"""Assistants for those who speak another protocol: as tools (MCP), as agents (A2A).

What imports the SDKs of these protocols is imported with the first request for it.
"""
