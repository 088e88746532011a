"""The server: graphs over HTTP, with the API of LangGraph's platform.

`app` makes an ASGI application of graphs or of a configuration. `config` is what it is told,
`service` what its handlers are given; `api` has one module for each resource, `storage` the rows,
`runs` the life of a run. Nothing else in millstream but the command line imports this package.
"""

from millstream.server.application import app
from millstream.server.config import ServerConfig
from millstream.server.config_files import load_config

__all__ = ("ServerConfig", "app", "load_config")
