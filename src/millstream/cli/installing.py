"""Packages that are missing: which one has a module, and how the environment that runs gets it."""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from typing import Final

_EXTRAS: Final = {
    "aiosqlite": "sqlite",
    "alembic": "server",
    "langgraph.checkpoint.postgres": "postgres",
    "langgraph.checkpoint.sqlite": "sqlite",
    "langgraph_sdk": "remote",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
    "ray": "ray",
    "redis": "redis",
    "resvg_py": "png",
    "sqlalchemy": "server",
    "starlette": "server",
    "uvicorn": "server",
    "watchfiles": "server",
}
"""Module -> extra of millstream."""
_PACKAGES: Final = {
    "bs4": "beautifulsoup4",
    "deepagents": "deepagents",
    "langgraph_supervisor": "langgraph-supervisor",
    "langgraph_swarm": "langgraph-swarm",
    "dotenv": "python-dotenv",
    "langchain": "langchain",
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "tavily": "tavily-python",
    "yaml": "pyyaml",
}
"""Module -> what it is installed by. A module's name alone is not enough to install by it."""
_INTEGRATIONS: Final = frozenset(
    {
        "anthropic",
        "aws",
        "azure_ai",
        "chroma",
        "cohere",
        "community",
        "deepseek",
        "elasticsearch",
        "fireworks",
        "google_genai",
        "google_vertexai",
        "groq",
        "huggingface",
        "mcp_adapters",
        "milvus",
        "mistralai",
        "mongodb",
        "neo4j",
        "ollama",
        "openai",
        "openrouter",
        "perplexity",
        "pinecone",
        "postgres",
        "qdrant",
        "redis",
        "tavily",
        "text_splitters",
        "together",
        "xai",
    }
)
"""Packages of LangChain, whose modules are called as they are, behind `langchain_`."""


def installing(requirement: str) -> str:
    """Return the command that installs something into the environment that runs."""
    return f"{_pip()} {shlex.quote(requirement)}"


def in_this_environment(text: str) -> str:
    """Return a text in which `pip install` is the one of the environment that runs."""
    return text.replace("pip install", _pip())


def _pip() -> str:
    python = shlex.quote(sys.executable)
    if find_spec("pip") is None:
        return f"uv pip install --python {python}"
    return f"{python} -m pip install"


def how_to_import(error: ImportError) -> str:
    """Return what to do about an import that failed."""
    if isinstance(error.__cause__, ImportError):
        # Of a package that says what it needs: what is missing is known there.
        return how_to_import(error.__cause__)
    requirement = requirement_of(error.name or "")
    if requirement is not None and isinstance(error, ModuleNotFoundError):
        return f"install it: {installing(requirement)}"
    if isinstance(error, ModuleNotFoundError):
        return f"install the package that has it in {sys.prefix}, or correct the import"
    return "correct the import, or install the version that has it"


def requirement_of(module: str) -> str | None:
    """Return what a module that is missing is installed by, None where that is not certain."""
    parts = module.split(".")
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        if name in _EXTRAS:
            return f"millstream[{_EXTRAS[name]}]"
    if parts[0].startswith("langchain_") and parts[0].partition("_")[2] in _INTEGRATIONS:
        return parts[0].replace("_", "-")
    return _PACKAGES.get(parts[0])
