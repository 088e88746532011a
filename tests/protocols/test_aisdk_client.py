"""The AI SDK itself reads what graphs say: each chunk is one of its own, and makes the message."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from millstream.protocols import aisdk
from protocols import scripted
from protocols.documented import rows
from protocols.judges import judge

pytestmark = [
    pytest.mark.long,
    pytest.mark.real_time(reason="another process takes its time"),
    pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm"),
]
HI = {"messages": "hi"}
AT = {"configurable": {"thread_id": "1"}}
MAKERS = ("team", "failing", "stumbling", "chorus", "asking", "reviewed", "cut")
versions = pytest.mark.parametrize("version", [6, 7])


def read(version: int, *cases: Any) -> Any:
    return judge("aisdk.mjs", f"ai-{version}", given=cases, least=20 if version == 6 else 22)


def lines_of(graph: Any, version: Any, input: Any = HI, **options: Any) -> str:
    encoder = aisdk.Encoder("m", version=version, **options)
    return "".join(aisdk.stream(graph, input, AT, encoder=encoder))


def decided(version: Any) -> tuple[Any, str]:
    """Return a message with a call that was approved and one that was not, and what follows."""
    graph = scripted.make_reviewed()
    (asked,) = read(version, {"lines": lines_of(graph, version)})
    message = asked["message"]
    for part in message["parts"]:
        if part.get("state") == "approval-requested":
            decision = {"approved": part["type"] == "tool-weigh", "reason": "Not today."}
            approval = {"id": part["approval"]["id"], **decision}
            part |= {"state": "approval-responded", "approval": approval}
    request = aisdk.read({"messages": [message]})
    encoder = aisdk.Encoder.of(request, version=version)
    return message, "".join(aisdk.stream(graph, request.input, AT, encoder=encoder))


@versions
def test_every_part_is_one_that_the_client_knows(version: Any) -> None:
    graphs = [getattr(scripted, f"make_{name}")() for name in MAKERS]
    told = read(version, *({"lines": lines_of(graph, version)} for graph in graphs))
    team, failing, stumbling, chorus, asking, reviewed, _ = told

    assert [one["wrong"] for one in told] == [[]] * len(MAKERS)
    assert failing["errors"] == ["ValueError: the wheel is stuck"]
    parts = team["message"]["parts"]
    kinds = [part["type"] for part in parts]
    assert [kind for kind in kinds if not kind.startswith("data-")] == [
        "step-start", "reasoning", "text", "tool-weigh", "tool-burn", "step-start", "text",
        "source-url", "file",
    ]  # fmt: skip
    weigh = next(part for part in parts if part["type"] == "tool-weigh")
    assert (weigh["state"], weigh["output"]) == ("output-available", {"kilos": 100})
    (graph,) = (part for part in parts if part["type"] == "data-graph")
    assert graph["data"]["status"] == "completed"
    assert team["message"]["metadata"]["usage"]["totalTokens"] == 24
    texts = [part["text"] for part in stumbling["message"]["parts"] if part["type"] == "text"]
    assert texts == (["It ", "It turns."] if version == 6 else ["It turns."])
    assert len(chorus["message"]["parts"]) == 3
    assert asking["message"]["parts"][0]["type"] == "data-interrupt"
    states = [part.get("state") for part in reviewed["message"]["parts"]]
    assert states[-3:-1] == ["approval-requested"] * 2


@versions
def test_every_part_of_the_stream_is_told_by_a_run_or_never(version: Any) -> None:
    table, other = rows("Every part"), "7: " if version == 6 else "6: "
    own = {name: told for name, told in table.items() if not told.startswith(other)}
    lines = [lines_of(getattr(scripted, f"make_{name}")(), version) for name in MAKERS]
    lines.append(aisdk.Encoder("m", version=version).end(is_cancelled=True))
    message, answered = decided(version)
    cases = [{"lines": each} for each in lines] + [{"lines": answered, "message": message}]
    told = {type for one in read(version, *cases) for type in one["types"]}

    assert sorted(own) == sorted(read(version))
    assert {"data-*" if type.startswith("data-") else type for type in told} == {
        name for name, when in own.items() if "never: " not in when
    }


@versions
def test_a_message_goes_on_where_it_has_asked(version: Any) -> None:
    message, lines = decided(version)
    (answered,) = read(version, {"lines": lines, "message": message})

    assert answered["wrong"] == answered["errors"] == []
    parts = answered["message"]["parts"]
    states = {part["type"]: part["state"] for part in parts if part["type"].startswith("tool-")}
    assert states == {"tool-weigh": "output-available", "tool-burn": "output-denied"}
    burn = next(part for part in parts if part["type"] == "tool-burn")
    assert burn["approval"]["reason"] == "Not today."
    assert [part["text"] for part in parts if part["type"] == "text"][-1] == "A hundred kilos."
