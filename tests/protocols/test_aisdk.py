"""What graphs say as UI message streams of the AI SDK, part by part."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

import millstream
from millstream.graph import START, StateGraph
from millstream.protocols import aisdk
from protocols import scripted
from protocols.scripted import PIXEL

HI = {"messages": "hi"}
AT = {"configurable": {"thread_id": "1"}}
USAGE = {"inputTokens": 14, "outputTokens": 10, "totalTokens": 24}


def parts_in(lines: str) -> list[dict[str, Any]]:
    """Return the parts of a stream, which has to be marked as ended."""
    *texts, end = lines.removesuffix("\n\n").split("\n\n")
    assert end == "data: [DONE]"
    return [json.loads(text.removeprefix("data: ")) for text in texts]


def said(graph: Any, input: Any = HI, config: Any = None, **options: Any) -> list[dict[str, Any]]:
    """Return the parts of a run, the same for both drivers."""
    encoder = aisdk.Encoder("m", **options)
    return parts_in("".join(aisdk.stream(graph, input, config, encoder=encoder)))


def types(parts: list[dict[str, Any]]) -> list[str]:
    return [part["type"] for part in parts]


def test_an_agent_thinks_calls_tools_and_answers() -> None:
    parts = said(scripted.make_agent())

    assert parts[:2] == [{"type": "start", "messageId": "m"}, {"type": "start-step"}]
    assert parts[2:6] == [
        {"type": "reasoning-start", "id": "calls:0"},
        {"type": "reasoning-delta", "id": "calls:0", "delta": "Sacks "},
        {"type": "reasoning-delta", "id": "calls:0", "delta": "have weight."},
        {"type": "reasoning-end", "id": "calls:0"},
    ]
    assert [part["delta"] for part in parts if part["type"] == "text-delta"] == [
        "I weigh ", "them.", "A hundred ", "kilos.",
    ]  # fmt: skip
    assert [part for part in parts if part.get("toolCallId") == "call-1"] == [
        {"type": "tool-input-start", "toolCallId": "call-1", "toolName": "weigh"},
        {"type": "tool-input-delta", "toolCallId": "call-1", "inputTextDelta": '{"sac'},
        {"type": "tool-input-delta", "toolCallId": "call-1", "inputTextDelta": 'ks": 2}'},
        {
            "type": "tool-input-available",
            "toolCallId": "call-1",
            "toolName": "weigh",
            "input": {"sacks": 2},
        },
        {
            "type": "tool-output-available",
            "toolCallId": "call-1",
            "output": {"weighed": 1},
            "preliminary": True,
        },
        {"type": "tool-output-available", "toolCallId": "call-1", "output": {"kilos": 100}},
    ]
    failed = [part for part in parts if part["type"] == "tool-output-error"]
    assert [(part["toolCallId"], "on fire" in part["errorText"]) for part in failed] == [
        ("call-2", True)
    ]
    assert {
        "type": "file",
        "mediaType": "image/png",
        "url": f"data:image/png;base64,{PIXEL}",
    } in parts
    assert [part["url"] for part in parts if part["type"] == "source-url"] == [
        "https://example.org/mill"
    ]
    assert types(parts)[-2:] == ["finish-step", "finish"]
    assert parts[-1]["finishReason"] == "stop"
    assert USAGE.items() <= parts[-1]["messageMetadata"]["usage"].items()


def test_both_drivers_say_the_same() -> None:
    async def read() -> str:
        lines = aisdk.astream(scripted.make_team(), HI, encoder=aisdk.Encoder("m"))
        return "".join([line async for line in lines])

    def without_ids(parts: list[dict[str, Any]]) -> list[str]:
        # Tools of one superstep run side by side.
        return sorted(str({**part, "id": "", "data": ""}) for part in parts)

    assert without_ids(parts_in(asyncio.run(read()))) == without_ids(said(scripted.make_team()))


def test_nested_graphs_and_what_nodes_write_are_data() -> None:
    parts = said(scripted.make_team())
    data = [part for part in parts if part["type"].startswith("data-")]

    assert data[:2] == [
        {"type": "data-custom", "data": {"progress": 1}},
        {"type": "data-sacks", "id": "sacks", "data": {"count": 2}},
    ]
    began, ended = data[2:]
    assert (began["type"], began["id"]) == (ended["type"], ended["id"])
    assert [one["data"]["status"] for one in (began, ended)] == ["started", "completed"]
    assert began["data"]["name"] == "miller"


def test_a_question_is_data_and_its_answer_goes_on() -> None:
    graph = scripted.make_asking()
    asked = said(graph, HI, AT)
    question = asked[1]["data"]
    request = aisdk.read({"messages": [], "resume": {question["id"]: "yes"}})
    answered = said(graph, request.input, AT)

    assert types(asked) == ["start", "data-interrupt", "finish"]
    assert question["value"] == {"question": "Shall the mill turn?"}
    assert [part["delta"] for part in answered if part["type"] == "text-delta"] == ["You said yes."]


def test_calls_are_approved_one_by_one() -> None:
    graph = scripted.make_reviewed()
    asked = said(graph, HI, AT)
    approvals = [part for part in asked if part["type"] == "tool-approval-request"]
    answers = [
        {
            "type": f"tool-{name}",
            "toolCallId": approval["toolCallId"],
            "state": "approval-responded",
            "input": {},
            "approval": {
                "id": approval["approvalId"],
                "approved": is_approved,
                "reason": "no fire",
            },
        }
        for approval, name, is_approved in zip(
            approvals, ("weigh", "burn"), (True, False), strict=True
        )
    ]
    page = [{"id": "m", "role": "assistant", "parts": answers}]
    request = aisdk.read({"id": "chat", "messages": page})
    lines = aisdk.stream(graph, request.input, AT, encoder=aisdk.Encoder.of(request))
    answered = parts_in("".join(lines))

    assert [part["toolCallId"] for part in approvals] == ["call-1", "call-2"]
    assert answered[0] == {"type": "start", "messageId": "m"}
    assert {"type": "tool-output-denied", "toolCallId": "call-2"} in answered
    assert {
        "type": "tool-output-available", "toolCallId": "call-1", "output": {"kilos": 100}
    } in answered  # fmt: skip
    assert "tool-input-available" not in types(answered)


def test_an_error_is_told_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "millstream.protocols"):
        parts = said(scripted.make_failing())

    assert types(parts)[-3:] == ["finish-step", "error", "finish"]
    assert parts[-2]["errorText"] == "ValueError: the wheel is stuck"
    assert parts[-1]["finishReason"] == "error"
    assert "a run has failed" in caplog.text


def test_what_a_page_is_told_of_an_error_is_the_programs_to_say() -> None:
    lines = aisdk.stream(scripted.make_failing(), HI, describe=lambda error: "Sorry.")

    assert [part["errorText"] for part in parts_in("".join(lines)) if part["type"] == "error"] == [
        "Sorry."
    ]


@pytest.mark.parametrize(("version", "is_reset"), [(6, False), (7, True)])
def test_what_a_model_has_broken_off_is_taken_back(version: Any, is_reset: bool) -> None:
    parts = said(scripted.make_stumbling(), version=version)

    assert [part["delta"] for part in parts if part["type"] == "text-delta"] == ["It ", "It turns."]
    assert ("reset-step" in types(parts)) is is_reset
    assert parts[-1]["finishReason"] == "stop"


def test_a_call_that_a_model_has_not_finished_ends() -> None:
    parts = said(scripted.make_cut())
    of_call = [part for part in parts if part.get("toolCallId") == "call-1"]

    assert types(of_call) == ["tool-input-start", "tool-input-delta", "tool-input-error"]
    assert of_call[-1]["errorText"] == "the model has not finished the call"


def test_models_that_speak_together_are_one_step() -> None:
    parts = said(scripted.make_chorus())

    assert types(parts).count("start-step") == types(parts).count("finish-step") == 1
    texts: dict[str, str] = {}
    for part in parts:
        if part["type"] == "text-delta":
            texts[part["id"]] = texts.get(part["id"], "") + part["delta"]
    assert texts == {"left:0": "left turns.", "right:0": "right turns."}


def test_who_closes_the_stream_stops_the_run() -> None:
    lines = aisdk.stream(scripted.make_agent(), HI)
    begun = [next(lines) for _ in range(3)]
    lines.close()  # type: ignore[attr-defined]  # it is a generator

    assert "reasoning-start" in begun[2]
    assert list(lines) == []


def test_a_recorded_run_says_what_the_run_has_said(tmp_path: Any) -> None:
    file = str(tmp_path / "run.jsonl.gz")
    lines = aisdk.stream(scripted.make_team(), HI, encoder=aisdk.Encoder("m"), record=file)
    parts = parts_in("".join(lines))

    assert said(millstream.replay(file), None) == parts


def test_a_cancelled_stream_says_so() -> None:
    encoder = aisdk.Encoder("m")

    assert parts_in(encoder.begin() + encoder.end(is_cancelled=True)) == [
        {"type": "start", "messageId": "m"},
        {"type": "abort", "reason": "cancelled"},
    ]


def test_what_a_model_has_said_before_it_fails_for_good_stays() -> None:
    cut = scripted.speaking(scripted.chunk("It "), ConnectionError("cut"))
    graph = StateGraph(scripted.State).add_node("speak", cut).add_edge(START, "speak").compile()

    assert "reset-step" not in types(said(graph, version=7))
    assert "reset-step" in types(said(scripted.make_stumbling(), version=7))
