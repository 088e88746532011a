"""Rows: the database, the tables, and functions of a connection for each resource."""
