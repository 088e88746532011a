"""Frames of server-sent events."""

from __future__ import annotations

from millstream.server import sse


def test_trap_01_frames_have_crlf_and_the_id_last() -> None:
    event = sse.frame("values", b'{"a":1}')

    assert event == b'event: values\r\ndata: {"a":1}\r\n\r\n'
    assert sse.with_id(event, "17-3") == b'event: values\r\ndata: {"a":1}\r\nid: 17-3\r\n\r\n'


def test_trap_08_a_heartbeat_is_a_comment() -> None:
    assert sse.HEARTBEAT == b": heartbeat\r\n\r\n"


def test_trap_16_names_have_the_namespace_as_suffix() -> None:
    assert sse.event_name("updates", ()) == "updates"
    assert sse.event_name("updates", ("a:1", "b:2")) == "updates|a:1|b:2"


def test_a_name_cannot_begin_another_field() -> None:
    event = sse.frame("values|no\r\ndata: evil:1", b"1")

    assert event.count(b"\n") == 3
    assert event.startswith(b"event: values|no  data: evil:1\r\n")
