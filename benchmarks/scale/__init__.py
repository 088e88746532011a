"""What many replicas on one PostgreSQL cost: the figures of docs/scale.md.

Each module is a program for `scripts/services.sh run -- .venv/bin/python -m benchmarks.scale.NAME`.
"""
