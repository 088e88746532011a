"""The description of the API: as OpenAPI, and as a page that needs nothing from anywhere."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from typing import Any, Final

from starlette.responses import HTMLResponse, Response

from millstream.server.api.routing import OPERATIONS, Call, Operation, operation, reply
from millstream.version import __version__

_REFERENCE: Final = "#/components/schemas/{model}"
_TEXTS: Final = {200: "What was asked for", 202: "Accepted", 204: "Done; there is nothing to tell"}
_ERROR: Final = {
    "description": "Refused; `detail` says why",
    "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="Error")}}},
}
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font:14px ui-monospace,monospace}td{padding:.2rem .8rem .2rem 0;vertical-align:top}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}a{color:#8bf}}"
)


@operation("GET", "/openapi.json", auth=None)
async def openapi(call: Call) -> Response:
    """Describe the API, as OpenAPI."""
    described = describe(served(call))
    # How callers say who they are is told by whoever configures it.
    given = call.service.config.auth.openapi or {}
    schemes = given.get("securitySchemes")
    if schemes:
        described["components"]["securitySchemes"] = schemes
    if given.get("security"):
        described["security"] = given["security"]
    return reply(described)


@operation("GET", "/docs", auth=None)
async def docs(call: Call) -> Response:
    """Describe the API, as a page."""
    rows = []
    tag = ""
    for known in served(call):
        if known.tag != tag:
            tag = known.tag
            rows.append(f'<tr><th colspan="2" align="left">{html.escape(tag)}</th></tr>')
        place = html.escape(f"{known.method} {known.path}")
        rows.append(f"<tr><td><code>{place}</code></td><td>{html.escape(known.summary)}</td></tr>")
    graphs = html.escape(", ".join(call.service.catalog.ids()))
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>millstream</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<h1>millstream {__version__}</h1><p>Graphs: {graphs}. "
        f'<a href="{html.escape(call.root_path)}/openapi.json">OpenAPI</a></p>'
        f"<table>{''.join(rows)}</table></html>"
    )


def served(call: Call) -> list[Operation]:
    """Return the operations that are not switched off, those of a resource together."""
    disabled = call.service.config.http.disabled
    return sorted(
        (known for known in OPERATIONS if known.tag not in disabled), key=lambda known: known.tag
    )


def describe(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the OpenAPI document of some operations."""
    schemas: dict[str, Any] = {
        "Error": {
            "type": "object",
            "properties": {"detail": {"type": "string"}},
            "required": ["detail"],
        }
    }
    paths: dict[str, dict[str, Any]] = {}
    for known in operations:
        described = _described(known, schemas)
        links = _links(known, operations)
        if links:
            described["responses"][str(known.status)]["links"] = links
        paths.setdefault(known.path, {})[known.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {"title": "millstream", "version": __version__},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _described(known: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    text = _TEXTS.get(known.status, "Done")
    success: dict[str, Any] = {"description": text}
    if known.status not in (202, 204):
        success["content"] = {"application/json": {"schema": {}}}
    described: dict[str, Any] = {
        "operationId": _id_of(known),
        "summary": known.summary,
        "tags": [known.tag],
        "responses": {str(known.status): success, "4XX": _ERROR},
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": known.schema_of(name)}
        for name in _names_in(known.path)
    ]
    if known.query is not None:
        schema = known.query.model_json_schema(ref_template=_REFERENCE)
        schemas.update(schema.get("$defs", {}))
        required = schema.get("required", [])
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": field}
            for name, field in schema.get("properties", {}).items()
        ]
    if parameters:
        described["parameters"] = parameters
    if known.body is not None:
        schema = known.body.json_schema(ref_template=_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        name = schema.get("title")
        if name is not None:
            schemas[name] = schema
            schema = {"$ref": _REFERENCE.format(model=name)}
        described["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    return described


def _links(known: Operation, operations: Sequence[Operation]) -> dict[str, Any]:
    """Return what can be done next with what an operation makes."""
    links = {}
    for other in operations:
        names = _names_in(other.path)
        if known.gives and known.gives[-1] in names and set(known.gives).issuperset(names):
            parameters = {name: f"$response.body#/{name}" for name in names}
            links[_id_of(other)] = {"operationId": _id_of(other), "parameters": parameters}
    return links


def _id_of(known: Operation) -> str:
    return f"{known.tag}_{known.handler.__name__}"


def _names_in(path: str) -> list[str]:
    """Return the names of a path's parameters."""
    return re.findall(r"{(\w+)(?::\w+)?}", path)
