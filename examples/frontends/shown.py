"""The pages, as `npm run build` has made them, beside the API of the server.

`langgraph.json` names the application as `http.app`; so pages and API have one address.
"""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

BUILT = Path(__file__).parent / "dist"


def go_to_pages(request: object) -> RedirectResponse:
    """Lead to the list of pages."""
    return RedirectResponse("pages/")


app = Starlette(
    routes=[
        Route("/", go_to_pages),
        Mount("/pages", StaticFiles(directory=BUILT, html=True, check_dir=False)),
    ]
)
