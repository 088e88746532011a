"""Caches: results of nodes, kept between runs.

The langgraph-checkpoint package has the implementations; this is one import root for them.
"""
