"""The studio: a page to watch runs, answer and fork them, which is built from `studio/`.

It is files alone, and speaks to the server by its public API. What models say is shown in it, so it
may load nothing but itself, and run nothing that is written into it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

PAGE: Final = Path(__file__).with_name("page")
"""Where `make studio` puts what it has built."""
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "worker-src 'self'",
        # Places of nodes and bars are attributes.
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
_KEPT: Final = "public, max-age=31536000, immutable"
_MISSING: Final = (
    "The studio is not part of this installation. In a clone of the repository `make studio` "
    "builds it; the API is described at /docs."
)


def is_built() -> bool:
    """Return whether there is a page to show."""
    return (PAGE / "index.html").is_file()


def studio_routes() -> list[BaseRoute]:
    """Return the routes of the page, which nobody has to be known for: it has nobody's data."""
    return [
        Route("/studio", _whole, methods=["GET"], include_in_schema=False),
        Route("/studio/", _index, methods=["GET"], include_in_schema=False),
        Route("/studio/assets/{name}", _asset, methods=["GET"], include_in_schema=False),
    ]


async def _whole(request: Request) -> Response:
    # Its files are found beside it.
    return RedirectResponse("studio/", status_code=307)


async def _index(request: Request) -> Response:
    if not is_built():
        return PlainTextResponse(_MISSING, status_code=404)
    return FileResponse(PAGE / "index.html", headers={**HEADERS, "cache-control": "no-cache"})


async def _asset(request: Request) -> Response:
    name: str = request.path_params["name"]
    path = PAGE / "assets" / name
    # A name has no slash in it, and may still be "..".
    if path.parent.name != "assets" or not path.is_file():
        return PlainTextResponse("There is no such file", status_code=404)
    # Its name changes with what is in it.
    return FileResponse(path, headers={**HEADERS, "cache-control": _KEPT})
