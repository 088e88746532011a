"""One server for all tests of a module that leave nothing behind that others would notice."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from server.fixtures import Running, config_of, running
from server.graphs import make_graphs
from server.recordings import FOLDER

# The recordings are not part of the repository.
collect_ignore = [] if FOLDER.is_dir() else ["test_recordings.py"]
# What a page shows while words come depends on how soon a browser draws: `make test-browser` has
# the machine to itself.
if not os.environ.get("MILLSTREAM_BROWSER"):
    collect_ignore.append("test_browser.py")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give a server with the recorded graphs; use threads of your own."""
    config = config_of(make_graphs(), tmp_path_factory.mktemp("server"))
    with running(config) as server:
        yield server
