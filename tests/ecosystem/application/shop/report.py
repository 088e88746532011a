"""What the shop earned, as a workflow of tasks."""

from __future__ import annotations

from typing import Any

from langgraph.func import entrypoint, task
from langgraph.store.base import BaseStore
from langgraph.types import CachePolicy


@task(cache_policy=CachePolicy())
def earned_with(customer: str, deals: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up what a customer paid."""
    return {"customer": customer, "total": sum(deal["price"] for deal in deals)}


def make_report(saver: Any, store: Any) -> Any:
    """Return the workflow."""

    @entrypoint(checkpointer=saver, store=store)
    def report(
        customers: list[str], *, store: BaseStore, previous: dict[str, int] | None = None
    ) -> entrypoint.final[list[str], dict[str, int]]:
        """Say what each customer paid, and how much more that is than last time."""
        asked = [
            earned_with(name, [item.value for item in store.search(("customers", name))])
            for name in customers
        ]
        totals = {found["customer"]: found["total"] for found in (each.result() for each in asked)}
        before = previous or {}
        lines = [
            f"{name}: {total} (+{total - before.get(name, 0)})" for name, total in totals.items()
        ]
        return entrypoint.final(value=lines, save=totals)

    return report
