"""OpenAI's API, in which a graph is a model: chat completions, and responses.

```python
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from millstream.protocols import openai

app = FastAPI()


@app.post("/v1/chat/completions")
async def complete(request: Request) -> StreamingResponse:
    asked = openai.read_chat(await request.json())
    lines = openai.astream_chat(graph, asked.whole_input, encoder=openai.ChatEncoder.of(asked))
    return StreamingResponse(lines, headers=openai.HEADERS)
```

Tools of the graph are its own affair: a client sees what it says, and not which tools it calls.
What the client gets as calls are those of its own tools that nobody has answered, and questions, as
calls of `interrupt`.
`docs/frontends.md` says more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from millstream.protocols.lines import HEADERS
from millstream.protocols.openai_chat import ChatEncoder
from millstream.protocols.openai_requests import CompletionRequest, read_chat
from millstream.protocols.openai_response_requests import ResponseRequest, read_response
from millstream.protocols.openai_responses import ResponsesEncoder
from millstream.protocols.running import Describe, alines, describe, lines

__all__ = (
    "HEADERS",
    "ChatEncoder",
    "CompletionRequest",
    "ResponseRequest",
    "ResponsesEncoder",
    "astream_chat",
    "astream_response",
    "read_chat",
    "read_response",
    "stream_chat",
    "stream_response",
)


def stream_chat(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: ChatEncoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> Iterator[str]:
    """Run a graph, and yield the lines of a chat completion in chunks.

    Args:
        graph: What has `stream_events(version="v3")`: a graph, a `RemoteGraph`, a replay.
        input: As for `stream`.
        config: As for `stream`.
        encoder: What makes the lines; when all of them were read its `result()` is the whole
            completion, for clients that do not want a stream.
        describe: Makes the text that the client gets of an error; by default its class and text.
        **options: As for `stream_events`: `context`, `durability`, `interrupt_before`, ...

    Yields:
        Lines of server-sent events. An error of the run is told in the stream, and logged by
        `millstream.protocols`; it is not raised. Closing the iterator stops the run.

    Raises:
        TypeError: An option that run streams decide themselves, such as `stream_mode`.
    """
    return lines(graph, input, config, encoder or ChatEncoder(), describe, options)


def astream_chat(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: ChatEncoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> AsyncIterator[str]:
    """Run a graph in the event loop, and yield the lines of a completion: see `stream_chat`."""
    return alines(graph, input, config, encoder or ChatEncoder(), describe, options)


def stream_response(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: ResponsesEncoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> Iterator[str]:
    """Run a graph, and yield the lines of a response.

    Args:
        graph: What has `stream_events(version="v3")`: a graph, a `RemoteGraph`, a replay.
        input: As for `stream`.
        config: As for `stream`.
        encoder: What makes the lines; when all of them were read its `result()` is the whole
            response, for clients that do not want a stream.
        describe: Makes the text that the client gets of an error; by default its class and text.
        **options: As for `stream_events`: `context`, `durability`, `interrupt_before`, ...

    Yields:
        Lines of server-sent events. An error of the run ends the response as failed, and is logged
        by `millstream.protocols`; it is not raised. Closing the iterator stops the run.

    Raises:
        TypeError: An option that run streams decide themselves, such as `stream_mode`.
    """
    return lines(graph, input, config, encoder or ResponsesEncoder(), describe, options)


def astream_response(
    graph: Any,
    input: Any,
    config: Any = None,
    *,
    encoder: ResponsesEncoder | None = None,
    describe: Describe = describe,
    **options: Any,
) -> AsyncIterator[str]:
    """Run a graph in the event loop, and yield the lines of a response: see `stream_response`."""
    return alines(graph, input, config, encoder or ResponsesEncoder(), describe, options)
