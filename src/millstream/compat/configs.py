"""`langgraph._internal._config`: merging configs and changing them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.runnables.config import var_child_runnable_config

from millstream.constants import (
    CONF,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
    CONFIG_KEY_THREAD_ID,
)
from millstream.pregel._running import request
from millstream.pregel._running.request import DEFAULT_RECURSION_LIMIT, METADATA_KEYS

if TYPE_CHECKING:
    from langchain_core.callbacks import Callbacks
    from langchain_core.runnables import RunnableConfig

PLACES: Final = (
    CONFIG_KEY_THREAD_ID,
    CONFIG_KEY_CHECKPOINT_ID,
    CONFIG_KEY_CHECKPOINT_MAP,
    CONFIG_KEY_CHECKPOINT_NS,
)
__all__ = (
    "DEFAULT_RECURSION_LIMIT",
    "ensure_config",
    "get_async_callback_manager_for_config",
    "get_callback_manager_for_config",
    "merge_configs",
    "patch_checkpoint_map",
    "patch_config",
    "patch_configurable",
)


def ensure_config(*configs: RunnableConfig | None) -> RunnableConfig:
    """Return a config with every key, merged from the ambient one and these."""
    given = _layers(configs)
    ambient = _layers((var_child_runnable_config.get(),))
    if any(_is_elsewhere(config) for config in given):
        ambient = [{**config, CONF: {}} for config in ambient]
    merged = request.merge_configs([*ambient, *given])
    configurable = merged.get(CONF, {})
    named = {key: configurable[key] for key in METADATA_KEYS if configurable.get(key)}
    complete = {
        "tags": [],
        "callbacks": None,
        "recursion_limit": DEFAULT_RECURSION_LIMIT,
        CONF: {},
        **merged,
        "metadata": {**named, **merged.get("metadata", {})},
    }
    return cast("RunnableConfig", complete)


def merge_configs(*configs: RunnableConfig | None) -> RunnableConfig:
    """Return one config of several; the last one wins."""
    return cast("RunnableConfig", request.merge_configs(_layers(configs)))


def patch_config(
    config: RunnableConfig | None,
    *,
    callbacks: Callbacks = None,
    recursion_limit: int | None = None,
    max_concurrency: int | None = None,
    run_name: str | None = None,
    configurable: dict[str, Any] | None = None,
) -> RunnableConfig:
    """Return a copy with some keys replaced, and keys added to `configurable`.

    The names of the run go with the callbacks they belong to.
    """
    patched: dict[str, Any] = dict(config or {})
    if callbacks is not None:
        patched["callbacks"] = callbacks
        for key in request.RUN_KEYS:
            patched.pop(key, None)
    given = {
        "recursion_limit": recursion_limit,
        "max_concurrency": max_concurrency,
        "run_name": run_name,
    }
    patched.update((key, value) for key, value in given.items() if value is not None)
    if configurable is not None:
        patched[CONF] = {**patched.get(CONF, {}), **configurable}
    return cast("RunnableConfig", patched)


def patch_configurable(config: RunnableConfig | None, patch: dict[str, Any]) -> RunnableConfig:
    """Return a copy with keys added to `configurable`."""
    return patch_config(config, configurable=patch)


def patch_checkpoint_map(
    config: RunnableConfig | None, metadata: Mapping[str, Any] | None
) -> RunnableConfig | None:
    """Return a config that also names the checkpoints of the graphs around this one."""
    parents = (metadata or {}).get("parents")
    if config is None or not parents:
        return config
    named = config[CONF]
    own = {named[CONFIG_KEY_CHECKPOINT_NS]: named[CONFIG_KEY_CHECKPOINT_ID]}
    return patch_configurable(config, {CONFIG_KEY_CHECKPOINT_MAP: {**parents, **own}})


def get_callback_manager_for_config(
    config: RunnableConfig, tags: Sequence[str] | None = None
) -> CallbackManager:
    """Return the config's callback manager, with its tags and metadata."""
    return cast("CallbackManager", _manager(CallbackManager, config, tags))


def get_async_callback_manager_for_config(
    config: RunnableConfig, tags: Sequence[str] | None = None
) -> AsyncCallbackManager:
    """Return the config's callback manager, with its tags and metadata."""
    return cast("AsyncCallbackManager", _manager(AsyncCallbackManager, config, tags))


def _manager(cls: Any, config: RunnableConfig, tags: Sequence[str] | None) -> Any:
    return cls.configure(
        inheritable_callbacks=config.get("callbacks"),
        inheritable_tags=[*(config.get("tags") or ()), *(tags or ())],
        inheritable_metadata=config.get("metadata"),
    )


def _is_elsewhere(config: Mapping[str, Any]) -> bool:
    """Say whether a config names a place of its own: the ambient one's keys are for another."""
    named = config.get(CONF) or {}
    return any(named.get(key) not in (None, {}) for key in PLACES)


def _layers(configs: Sequence[RunnableConfig | None]) -> list[Mapping[str, Any]]:
    return [cast("Mapping[str, Any]", config) for config in configs if config]
