"""Configs of runs: the old place of `millstream.config`, and how configs are made complete."""

from __future__ import annotations

from millstream.compat.configs import ensure_config, patch_configurable
from millstream.config import get_config, get_store

__all__ = ("ensure_config", "get_config", "get_store", "patch_configurable")
