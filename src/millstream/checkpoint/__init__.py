"""Savers: where the state of a thread is kept between runs.

The langgraph-checkpoint package has the implementations; this is one import root for them.
"""
