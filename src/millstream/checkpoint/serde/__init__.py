"""How savers and caches turn objects into bytes."""
