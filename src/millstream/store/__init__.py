"""Stores: memory that nodes share across threads.

The langgraph-checkpoint package has the implementations; this is one import root for them.
"""
