"""Queries about attempts at a run: what the one before has come to."""

from __future__ import annotations

from sqlalchemy import Connection, select, update

from millstream.server.storage.tables import runs


def go_on(connection: Connection, run_id: str, place: str) -> int:
    """Note that another attempt begins at a place; return how many have died there."""
    query = select(runs.c.place, runs.c.deaths).where(runs.c.run_id == run_id)
    known = connection.execute(query).first()
    deaths = known.deaths + 1 if known is not None and known.place == place else 1
    connection.execute(
        update(runs).where(runs.c.run_id == run_id).values(place=place, deaths=deaths)
    )
    return deaths


def note_found(connection: Connection, run_id: str, found: str) -> None:
    """Note what a command finds of its thread, before it has changed anything."""
    connection.execute(update(runs).where(runs.c.run_id == run_id).values(found=found))


def found(connection: Connection, run_id: str) -> str | None:
    """Return what a command has found of its thread, None if it has not begun."""
    text: str | None = connection.scalar(select(runs.c.found).where(runs.c.run_id == run_id))
    return text
