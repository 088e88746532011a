"""A server on loopback that speaks OpenAI's chat completions, streamed and whole.

A test gives it one function from a request to the steps of the answer; what a client does to the
connection meanwhile is seen as it happens, so no test has to wait for a while.
"""

from __future__ import annotations

import contextlib
import json
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, TypeAlias

PATIENCE: Final = 20.0
"""Seconds after which something that had to happen counts as not happening."""


@dataclass(frozen=True)
class ToolCall:
    """The model calls a tool; its arguments arrive in these fragments of JSON."""

    name: str
    arguments: tuple[str, ...]
    id: str = "call_1"


@dataclass(frozen=True)
class Gate:
    """Nothing more is sent until the test opens this gate."""

    opened: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Failure:
    """The service reports an error and ends the stream."""

    message: str


@dataclass(frozen=True)
class HangUp:
    """The connection breaks in the middle of the stream."""


@dataclass(frozen=True)
class Linger:
    """Nothing more is ever sent: the stream ends when the client leaves."""


@dataclass(frozen=True)
class Babble:
    """Word after word is sent, until the client leaves."""


Step: TypeAlias = str | ToolCall | Gate | Failure | HangUp | Linger | Babble
Request: TypeAlias = dict[str, Any]
Answer: TypeAlias = Callable[[Request], Iterable[Step]]


class OpenAIServer(ThreadingHTTPServer):
    """Answers chat completions as `answer` says.

    `requests` are the bodies of all requests, `left` has how many words had been sent each time a
    client left in the middle of an answer.
    """

    daemon_threads = False

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.requests: list[Request] = []
        self.left = queue.SimpleQueue[int]()
        self.failures: list[BaseException] = []

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find the server."""
        return {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_BASE_URL": f"http://127.0.0.1:{self.server_port}/v1",
            "NO_PROXY": "127.0.0.1",
        }

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep what went wrong for the end of the test."""
        error = sys.exc_info()[1]
        assert error is not None
        self.failures.append(error)


@contextlib.contextmanager
def serve(answer: Answer) -> Iterator[OpenAIServer]:
    """Serve until the block ends; every answer must have ended by then, each as it was meant to."""
    with OpenAIServer(answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
    # The threads of all answers were joined when the server was closed.
    assert server.failures == []


class _Handler(BaseHTTPRequestHandler):
    server: OpenAIServer
    protocol_version = "HTTP/1.1"
    timeout = PATIENCE

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        steps = self.server.answer(request)
        # A connection for each answer: nothing is left open in the pools of clients.
        self.close_connection = True
        if request.get("stream"):
            self._stream(request, steps)
        else:
            self._send_whole(request, steps)

    def _send_whole(self, request: Request, steps: Iterable[Step]) -> None:
        text = "".join(step for step in steps if isinstance(step, str))
        message = {"role": "assistant", "content": text, "refusal": None}
        body = json.dumps(
            {
                **_envelope(request, "chat.completion"),
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": _usage(1),
            }
        ).encode()
        self._head("application/json", "Content-Length", str(len(body)))
        self.wfile.write(body)

    def _stream(self, request: Request, steps: Iterable[Step]) -> None:
        self._head("text/event-stream", "Transfer-Encoding", "chunked")
        self._delta(request, {"role": "assistant", "content": ""})
        reason, tokens, calls = "stop", 0, 0
        for step in steps:
            if isinstance(step, str):
                self._delta(request, {"content": step})
                tokens += 1
            elif isinstance(step, ToolCall):
                self._call(request, step, calls)
                reason, calls = "tool_calls", calls + 1
            elif isinstance(step, Gate):
                assert step.opened.wait(PATIENCE), "nobody opened the gate"
            elif isinstance(step, Linger):
                # A client that stays makes this time out, which fails the test.
                assert self.connection.recv(1) == b""
                self.server.left.put(tokens)
                return
            elif isinstance(step, Babble):
                with contextlib.suppress(ConnectionError):
                    while True:
                        self._delta(request, {"content": "word "})
                        tokens += 1
                self.server.left.put(tokens)
                return
            elif isinstance(step, HangUp):
                return
            else:
                self._event({"error": {"message": step.message, "type": "server_error"}})
                self._end()
                return
        self._delta(request, {}, reason)
        if (request.get("stream_options") or {}).get("include_usage"):
            chunk = {**_envelope(request), "choices": [], "usage": _usage(tokens)}
            self._event(chunk)
        self._chunk("data: [DONE]\n\n")
        self._end()

    def _call(self, request: Request, call: ToolCall, index: int) -> None:
        function: dict[str, Any] = {"name": call.name, "arguments": ""}
        opening = {"index": index, "id": call.id, "type": "function", "function": function}
        self._delta(request, {"content": None, "tool_calls": [opening]})
        for fragment in call.arguments:
            more = {"index": index, "function": {"arguments": fragment}}
            self._delta(request, {"tool_calls": [more]})

    def _head(self, kind: str, framing: str, value: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header(framing, value)
        self.send_header("Connection", "close")
        self.end_headers()

    def _delta(self, request: Request, delta: dict[str, Any], reason: str | None = None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        self._event({**_envelope(request), "choices": [choice]})

    def _event(self, content: dict[str, Any]) -> None:
        self._chunk(f"data: {json.dumps(content)}\n\n")

    def _chunk(self, text: str) -> None:
        body = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    def _end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")


def _envelope(request: Request, kind: str = "chat.completion.chunk") -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": request["model"]}


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
