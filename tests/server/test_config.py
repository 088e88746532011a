"""What the server is told, and by whom."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

import millstream
from millstream.cli.serving import serve
from millstream.server.config import ServerConfig
from millstream.server.config_files import ENVIRONMENT, load_config, parse_env
from millstream.server.errors import ConfigError

GRAPHS = {"graphs": {"chat": "./app.py:graph"}}
DOCS = Path(millstream.__file__).parents[2] / "docs"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(here: Path, content: Any, name: str = "langgraph.json") -> Path:
    """Write a configuration."""
    path = here / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def load(*targets: str, **given: Any) -> ServerConfig:
    """Load a configuration in an empty environment."""
    return load_config(given.pop("path", None), *targets, environment={}, **given)


def test_a_graph_that_is_named_needs_no_file(here: Path) -> None:
    config = load("app.py:graph", "pkg.mod:other")

    assert {id: source.target for id, source in config.graphs.items()} == {
        "graph": f"{here}/app.py:graph",
        "other": "pkg.mod:other",
    }
    assert (config.host, config.port) == ("127.0.0.1", 2024)
    assert config.database_path == here / ".millstream" / "server.db"
    assert config.file_beside("threads") == here / ".millstream" / "server-threads.db"


def test_a_graph_that_is_named_by_its_file_alone_has_no_id_yet(here: Path) -> None:
    (here / "app.py").write_text("")

    config = load("app.py", "pkg.mod")

    assert {id: source.target for id, source in config.graphs.items()} == {
        "app.py": f"{here}/app.py",
        "pkg.mod": "pkg.mod",
    }


def test_langgraph_json_is_found_with_all_its_keys(here: Path) -> None:
    content = {
        "$schema": "https://langgra.ph/schema.json",
        "python_version": "3.11",
        "dependencies": ["."],
        "graphs": {"chat": {"path": "./app.py:graph", "description": "talks"}, "b": "m:f"},
        "env": {"KEY": "value"},
        "store": {"index": {"dims": 3, "embed": "openai:x"}, "ttl": {"default_ttl": 5}},
        "checkpointer": {"ttl": {"strategy": "delete", "default_ttl": 60, "sweep_limit": 9}},
        "auth": {"disable_studio_auth": True},
        "http": {"cors": {"allow_origins": ["https://a"]}, "disable_store": True},
        "dockerfile_lines": ["RUN x"],
    }
    (here / "conf").mkdir()

    found = load(path=write(here / "conf", content))

    assert found.directory == here / "conf"
    assert found.graphs["chat"].description == "talks"
    assert found.env == {"KEY": "value"}
    assert found.store.index == {"dims": 3, "embed": "openai:x"}
    assert found.checkpointer.ttl is not None
    assert found.checkpointer.ttl.default_ttl == 60
    assert found.http.disabled == {"store"}
    write(here, content)
    assert load().graphs == found.graphs


def test_pyproject_has_it_in_a_table(here: Path) -> None:
    text = '[tool.millstream]\nport = 3000\n[tool.millstream.graphs]\nchat = "app:graph"\n'
    write(here, text, "pyproject.toml")

    config = load()

    assert config.port == 3000
    assert config.graphs["chat"].target == "app:graph"


def test_the_command_line_is_above_the_environment_and_that_above_the_file(here: Path) -> None:
    write(here, {**GRAPHS, "port": 1, "host": "a", "database": "x.db"})
    environment = {"MILLSTREAM_PORT": "2", "MILLSTREAM_HOST": "b", "N_JOBS_PER_WORKER": "3"}

    config = load_config(None, environment=environment, host="c", port=None)

    assert (config.host, config.port, config.n_jobs_per_worker) == ("c", 2, 3)
    assert config.database_path == here / "x.db"


def test_what_the_environment_says_is_a_text_or_a_number_as_the_key_is(here: Path) -> None:
    write(here, {**GRAPHS, "database": "postgresql://me@db.example/name"})
    environment = {"MILLSTREAM_ROLE": "api", "MILLSTREAM_REVISION": "7", "MILLSTREAM_PORT": "x"}

    with pytest.raises(ConfigError, match="MILLSTREAM_PORT in the environment is a number"):
        load_config(None, environment=environment)
    config = load_config(None, environment={**environment, "MILLSTREAM_PORT": "7"})

    assert (config.role, config.revision, config.port) == ("api", "7", 7)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "is no JSON"),
        ("[]", "has no object"),
        ({}, "graphs names no graph"),
        ({"graphs": []}, "graphs is an object of ids and graphs, not []"),
        ({"graphs": {"a": "app.py"}}, "graphs.a names a graph like './app.py:graph', not 'app.py'"),
        ({"graphs": {"a": {"file": "x"}}}, "graphs.a names a graph"),
        ({**GRAPHS, "prot": 1}, "there is no key 'prot'; do you mean 'port'? There are graphs, "),
        ({**GRAPHS, "nothing": 1}, "there is no key 'nothing'; there are graphs, "),
        ({**GRAPHS, "port": "1"}, "port is a number, not '1'"),
        ({**GRAPHS, "port": True}, "port is a number, not True"),
        ({**GRAPHS, "port": 70000}, "port is a number from 0 to 65535, not 70000"),
        ({**GRAPHS, "n_jobs_per_worker": 0}, "n_jobs_per_worker is a number from 1 on, not 0"),
        ({**GRAPHS, "dependencies": "x"}, "dependencies is a list of texts, not 'x'"),
        ({**GRAPHS, "http": []}, "http is an object, not []"),
        ({**GRAPHS, "http": {"disable_store": 1}}, "http.disable_store is true or false, not 1"),
        ({**GRAPHS, "http": {"cros": {}}}, "http has no key 'cros'"),
        ({**GRAPHS, "http": {"mount_prefix": "api"}}, "http.mount_prefix is like '/api'"),
        ({**GRAPHS, "checkpointer": {"ttl": {"default_ttl": "5"}}}, "checkpointer.ttl.default_ttl"),
        (
            {**GRAPHS, "env": "no.env"},
            "env names 'no.env', which cannot be read: No such file or directory; make ",
        ),
        ({**GRAPHS, "encryption": {}}, "encryption.path is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_value(here: Path, content: Any, told: str) -> None:
    write(here, content)

    with pytest.raises(ConfigError) as caught:
        load()

    assert told in str(caught.value)


def test_it_says_what_to_do_where_nothing_is() -> None:
    with pytest.raises(ConfigError, match=r"millstream dev app\.py:graph"):
        load()
    with pytest.raises(ConfigError, match="no such file"):
        load(path="other.json")
    with pytest.raises(ConfigError, match=r"TARGET 'app\.py:' does not name a graph; write "):
        load("app.py:")
    with pytest.raises(ConfigError, match=r"no such file: app\.py; write "):
        load("app.py")
    with pytest.raises(ConfigError, match=r"^two graphs are called 'c', a:c and b:c: rename one "):
        load("a:c", "b:c")
    with pytest.raises(ConfigError, match="MILLSTREAM_PORT in the environment is a number"):
        load_config(None, "a:b", environment={"MILLSTREAM_PORT": "x"})


def test_env_files_are_read_as_shells_do(here: Path) -> None:
    (here / "my.env").write_text("A=1\nexport B = 'x # y'\n# no\nC=\"a\\nb\" # c\nD=x y # z\n=\n")
    write(here, {**GRAPHS, "env": "my.env"})

    assert load().env == {"A": "1", "B": "x # y", "C": "a\nb", "D": "x y"}
    assert parse_env("") == {}


def test_an_env_file_in_another_encoding_is_refused(here: Path) -> None:
    (here / "my.env").write_text("A=1", encoding="utf-16")
    write(here, {**GRAPHS, "env": "my.env"})

    with pytest.raises(ConfigError, match=r"env names 'my\.env', which is no text in UTF-8"):
        load()


def keys(part: Any = ServerConfig, before: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key of a configuration with what it has to be; parts by their keys."""
    hints = get_type_hints(part)
    for known in dataclasses.fields(part):
        hint = hints[known.name]
        [inner] = [one for one in (hint, *get_args(hint)) if dataclasses.is_dataclass(one)] or [
            None
        ]
        if inner is not None and known.name != "graphs":
            yield from keys(inner, f"{before}{known.name}.")
        elif known.name not in ("directory", "files"):
            yield f"{before}{known.name}", hint


KEYS = dict(keys())
OWN = (
    "host", "port", "database", "n_jobs_per_worker", "max_request_bytes", "api_key_file",
    "log_format", "log_level", "run_timeout_seconds", "event_retention_seconds", "grace_seconds",
    "listen_database", "redis", "role", "revision", "on_new_revision", "lease_seconds",
    "drain_seconds",
)  # fmt: skip
"""What is written without anything before it, and may come from the environment."""


def content_of(key: str, value: Any) -> dict[str, Any]:
    found: Any = value
    for name in reversed(key.split(".")):
        found = {name: found}
    return {**found, **GRAPHS} if not key.startswith("graphs") else found


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_is_read_described_and_refused_where_it_cannot_be(here: Path, key: str) -> None:
    pages = "".join(path.read_text() for path in sorted(DOCS.glob("server-*.md")))
    first, _, rest = key.rpartition(".")
    assert f"`{key}`" in pages or (first and f"`{rest}`" in pages), f"no page has `{key}`"

    # Nothing is a number and a list of them and a text.
    write(here, content_of(key, [object.__name__, 1, None]))
    with pytest.raises(ConfigError, match=re.escape(key.rpartition(".")[2])):
        load()

    good = GOOD.get(key, GOOD.get(str(KEYS[key])))
    assert good is not None, f"no example for {key}, which is {KEYS[key]}"
    write(here, {**content_of(key, good), **BESIDE.get(key, {})})
    found: Any = load()
    for name in key.split("."):
        found = getattr(found, name)
    if key not in ("graphs", "env"):
        assert found == (tuple(good) if isinstance(good, list) else good)


GOOD: dict[str, Any] = {
    "graphs": GRAPHS["graphs"],
    "env": {"A": "b"},
    "host": "0.0.0.0",
    "redis": "redis://redis.example",
    "role": "worker",
    "on_new_revision": "newest",
    "lease_seconds": 7,
    "log_format": "json",
    "log_level": "debug",
    "checkpointer.serde": {"pickle_fallback": True},
    "checkpointer.ttl.strategy": "keep_latest",
    "store.ttl.strategy": "keep_latest",
    "http.middleware_order": "auth_first",
    "http.mount_prefix": "/api",
    "http.configurable_headers": {"includes": ["x-*"]},
    "http.logging_headers": {"excludes": ["x-*"]},
    "str": "a",
    "str | None": "./a.py:b",
    "int": 7,
    "int | None": 7,
    "float": 2.5,
    "float | None": 2.5,
    "bool": True,
    "<class 'str'>": "./a.py:b",
    "<class 'int'>": 7,
    "<class 'float'>": 2.5,
    "<class 'bool'>": True,
    "tuple[str, ...]": ["a", "b"],
    "collections.abc.Mapping[str, typing.Any] | None": {"a": 1},
    "collections.abc.Mapping[str, str] | None": {"a": "b"},
}
"""Values by key, or by what it has to be."""
SHARED = {"database": "postgresql://me@db.example/name"}
BESIDE = {"role": SHARED, "listen_database": SHARED, "redis": SHARED}
"""What keys need that are nothing alone."""


def test_the_environment_and_the_command_line_have_what_is_millstreams_own() -> None:
    page = (DOCS / "server-configuration.md").read_text()
    assert set(ENVIRONMENT.values()) == set(OWN)
    for name in ENVIRONMENT:
        assert f"`{name}`" in page
    for name in inspect.signature(serve).parameters:
        flag = "workers-per-process" if name == "workers" else name.replace("_", "-")
        assert name == "targets" or f"`--{flag}`" in page, name
