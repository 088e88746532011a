"""A cache in Redis, over a client of the `redis` distribution."""

from langgraph.cache.redis import RedisCache

__all__ = ("RedisCache",)
