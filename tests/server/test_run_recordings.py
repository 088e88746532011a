"""What a run has said is given as a recording, which is replayed without the server."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

import millstream
from millstream.cli import main
from millstream.stimuli.values import RecordedError
from server.fixtures import Running
from server.streams import parse, stream, thread

HI = {"messages": [{"role": "user", "content": "hi"}]}
MODES = ["values", "updates", "messages-tuple", "custom"]


def recorded(
    server: Running, graph: str, input: Any, forms: list[str] = MODES, **body: Any
) -> tuple[Any, list[Any]]:
    """Return the answer to who asks for the recording of a new run, and what that said."""
    at = thread(server)
    said = stream(server, graph, input, at=at, stream_mode=forms, **body)
    run_id = said[0].data["run_id"]
    return server.http.get(f"/threads/{at}/runs/{run_id}/recording"), said


def test_a_run_that_is_kept_is_given_as_a_file(server: Running) -> None:
    answer, said = recorded(server, "sink", HI, stream_resumable=True, stream_subgraphs=True)

    assert answer.headers["content-type"] == "application/gzip"
    assert answer.headers["content-disposition"].endswith('.jsonl.gz"')
    lines = [json.loads(line) for line in gzip.decompress(answer.content).splitlines()]
    assert lines[0]["recording"] == 1
    assert lines[0]["graph"] == "sink"
    assert lines[0]["input"] == HI
    assert lines[0]["drawing"]["nodes"][0]["id"] == "__start__"
    assert lines[-1]["end"] == "success"
    assert lines[-1]["events"] == len(said) - sum(event.name == "end" for event in said)
    assert [f"{'|'.join([line['mode'], *line['ns']])}" for line in lines[1:-1]] == [
        event.name for event in said if event.name != "end"
    ]


def test_it_is_replayed_with_the_classes_of_messages(server: Running) -> None:
    answer, said = recorded(server, "sink", HI, stream_resumable=True)
    replay = millstream.replay(io.BytesIO(answer.content))

    values = list(replay.stream(stream_mode="values"))
    tokens = list(replay.stream(stream_mode="messages"))

    assert values == [event.data for event in said if event.name == "values"]
    assert len(tokens) == len([event for event in said if event.name == "messages"]) > 0
    assert any(isinstance(chunk, AIMessageChunk) and chunk.content for chunk, _ in tokens)
    assert replay.status == "success"


def test_a_run_that_failed_fails_in_its_replay(server: Running) -> None:
    slow = {"n": 1, "delay": 0.0, "boom": True}
    answer, _ = recorded(server, "slow", slow, stream_resumable=True)
    replay = millstream.replay(io.BytesIO(answer.content))

    assert replay.status == "error"
    with pytest.raises(RecordedError, match=r"^boom in tick$") as raised:
        list(replay.stream(stream_mode="values"))
    assert raised.type.__name__ == "ValueError"


def test_who_asks_for_what_is_not_there_is_told_why(server: Running) -> None:
    answer, _ = recorded(server, "sink", HI)
    nobody = server.http.get(f"/threads/{uuid.uuid4()}/runs/{uuid.uuid4()}/recording")

    assert answer.status_code == 404
    assert "stream_resumable" in answer.json()["detail"]
    assert nobody.status_code == 404


FORMS = ["values", "updates", "messages-tuple", "custom", "debug"]


@pytest.mark.parametrize(
    ("graph", "given"),
    [
        ("sink", HI),
        ("hitl", HI),
        ("slow", {"n": 1, "delay": 0.0, "boom": True}),
    ],
)
def test_it_is_replayed_as_its_client_has_read_it(
    server: Running, graph: str, given: Any, tmp_path: Path, capfdbinary: Any
) -> None:
    answer, said = recorded(
        server, graph, given, stream_resumable=True, stream_subgraphs=True, forms=FORMS
    )
    (file := tmp_path / "run.jsonl.gz").write_bytes(answer.content)

    modes = [each.removesuffix("-tuple") for each in FORMS]
    options = [option for mode in modes for option in ("-m", mode)]
    main(["replay", str(file), "--protocol", "sse", "--subgraphs", *options])

    shown = parse(capfdbinary.readouterr().out.decode().replace("\n", "\r\n"))
    assert shown == [event._replace(id=None) for event in said if event.name != "end"]
    assert shown[0].name == "metadata"
    assert (shown[-1].name == "error") is (graph == "slow")
