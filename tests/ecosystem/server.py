"""A small server of tools, for the scenarios of `langchain-mcp-adapters`."""

from __future__ import annotations

from mcp.server.fastmcp import FastMCP


def make_server() -> FastMCP:
    """Return a server with tools that add, describe and refuse."""
    server = FastMCP("sums", log_level="ERROR")

    @server.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @server.tool()
    def describe(number: int) -> list[str]:
        """Say two things about a number."""
        return [f"{number} is odd" if number % 2 else f"{number} is even", f"{number} is small"]

    @server.tool()
    def refuse() -> str:
        """Do nothing, and say so."""
        raise ValueError("I would rather not")

    return server


if __name__ == "__main__":
    make_server().run()
