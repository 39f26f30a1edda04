"""The server listens on this computer's own addresses only, within limits."""

import gc
import logging
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from engine.server import desk
from engine.server import server as module
from engine.server.access import Access
from engine.server.server import Server, ServerError
from engine.tokens.channels import Channel, ChannelEvent
from tests.helpers.answering import SAID, ScriptedAnswering, wait_until

HELLO = {"model": "starter", "messages": [{"role": "user", "content": "a secret question"}]}


def test_it_listens_on_both_of_its_own_addresses(serve):
    server = serve(ScriptedAnswering())
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            connection = socket.socket(family)
        except OSError:  # a system without it
            continue
        with connection:
            if connection.connect_ex((address, server.port)):
                assert family == socket.AF_INET6
                continue
            assert connection.getpeername()[0] == address


def test_a_port_that_is_taken_is_said_in_a_line(serve):
    taken = serve(ScriptedAnswering())
    with pytest.raises(ServerError, match=f"Another program has port {taken.port}: choose another port"):
        Server(ScriptedAnswering(), Access(), taken.port).start()


def test_stopping_is_quick_and_harmless_when_repeated(serve):
    server = serve(ScriptedAnswering())
    assert server.stop(10)
    assert server.stop(10)
    assert Server(ScriptedAnswering(), Access()).stop()


STREAMED = (
    b'POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 37\r\n\r\n{"model": "starter", "prompt": "Hey"}'
)


@pytest.mark.parametrize(
    ("sent", "characters"),
    [
        (b"GET / HTTP/1.1\r\nHost: loc", 0),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 0),
        (STREAMED, 1),
        (STREAMED, 20_000_000),
    ],
    ids=["asking", "idle", "waiting", "not reading"],
)
def test_clients_that_stay_are_hung_up_on_when_it_stops(serve, sent, characters):
    server = serve(ScriptedAnswering([(ChannelEvent(Channel.ANSWER, "a" * characters),)], waits=True))
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(sent)
        if b"localhost" in sent:
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.stop(10)
        assert hung_up(connection)
    gc.collect()  # warns of what was left open


def test_clients_that_come_as_it_stops_are_hung_up_on(serve):
    """It has not even begun to accept when it is stopped."""
    server = serve(ScriptedAnswering())
    with ExitStack() as stack:
        address = ("127.0.0.1", server.port)
        connections = [stack.enter_context(socket.create_connection(address, 30)) for _ in range(20)]
        assert server.stop(10)
        assert all(map(hung_up, connections))
    gc.collect()


def hung_up(connection):
    connection.settimeout(10)
    with suppress(ConnectionResetError):
        while connection.recv(1_000_000):
            pass
    return True


def test_programs_that_are_connected_are_told(serve, ask):
    server = serve(ScriptedAnswering())
    assert server.connected == []
    ask(server, "GET", "/v1/models", User_Agent="editor/1.0")
    assert [(program.name, program.under_way) for program in server.connected] == [("editor", 0)]


def test_nothing_of_a_prompt_is_logged(serve, ask, caplog):
    caplog.set_level(logging.DEBUG, "engine")
    server = serve(ScriptedAnswering())
    assert ask(server, "POST", "/v1/chat/completions?secret=1", HELLO, User_Agent="editor").status == 200
    assert ask(server, "POST", "/v1/chat/completions", HELLO | {"messages": "a secret"}).status == 400
    server.stop(10)
    assert "editor asked POST /v1/chat/completions: 200" in caplog.text
    assert "secret" not in caplog.text


def test_a_body_that_is_too_large_is_refused(serve, ask, monkeypatch):
    monkeypatch.setattr(desk, "MAX_BODY_BYTES", 1000)
    reply = ask(serve(ScriptedAnswering()), "POST", "/v1/messages", b"x" * 1001)
    assert (reply.status, reply.body["error"]["type"]) == (413, "request_too_large")


def test_a_body_that_does_not_arrive_is_refused(serve, monkeypatch):
    monkeypatch.setattr(desk, "MAX_BODY_S", 0.05)
    server = serve(ScriptedAnswering())
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        assert connection.recv(1000).startswith(b"HTTP/1.1 408")


def test_headers_that_do_not_arrive_close_the_connection(serve, monkeypatch):
    monkeypatch.setattr(module, "IDLE_S", 0.05)
    server = serve(ScriptedAnswering())
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: loc")
        assert connection.recv(1000) == b""


def test_headers_of_another_request_that_do_not_arrive_close_the_connection_too(serve, monkeypatch):
    monkeypatch.setattr(module, "IDLE_S", 0.3)
    server = serve(ScriptedAnswering())
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\nHost: loc")
        assert until_closed(connection).count(b"HTTP/1.1 200") == 1


def test_an_answer_may_take_longer_than_headers_may(serve, monkeypatch):
    """Also one that was asked for while another was answered."""
    monkeypatch.setattr(module, "IDLE_S", 0.1)
    answering = SlowAnswering(SAID[2:3])
    server = serve(answering)
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(STREAMED * 2)
        assert until_closed(connection).count(b'"done":true') == 2


class SlowAnswering(ScriptedAnswering):
    def _answer(self, request):
        time.sleep(0.5)
        super()._answer(request)


def until_closed(connection):
    return b"".join(iter(lambda: connection.recv(1_000_000), b""))


def test_a_client_that_does_not_read_is_hung_up_on_and_its_answer_cancelled(serve, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNREAD_S", 0.1)
    answering = ScriptedAnswering([(ChannelEvent(Channel.ANSWER, "a" * 20_000_000),)], waits=True)
    server = serve(answering)
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(STREAMED)
        assert answering.cancelled.wait(30)
        assert hung_up(connection)


def test_a_client_that_reads_slowly_is_not_hung_up_on(serve, monkeypatch):
    monkeypatch.setattr(module, "MAX_UNREAD_S", 1.0)
    many = [(ChannelEvent(Channel.ANSWER, "a" * 300_000),)] * 40
    server = serve(ScriptedAnswering(many))
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(STREAMED)
        told = b""
        while b'"done":true' not in told[-2000:]:
            told += connection.recv(100_000)
            time.sleep(0.01)
    assert told.count(b"a" * 300_000) == 40


def test_a_connection_too_many_is_told_so_in_its_protocols_form(serve, ask, monkeypatch):
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 3)
    answering = ScriptedAnswering()
    server = serve(answering)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)).sendall(b"GET")
        for path, kind in (("/v1/chat/completions", "type"), ("/v1/messages", "type"), ("/api/chat", None)):
            reply = ask(server, "POST", path, HELLO)
            assert (reply.status, reply.headers["retry-after"], reply.headers["connection"]) == (429, "5", "close")
            assert kind is None or reply.body["error"][kind] == "rate_limit_error"
    assert answering.requests == []
    wait_until(lambda: ask(server, "GET", "/").status == 200)


def test_who_says_how_large_a_body_is_hears_at_once_that_it_is_too_large(serve):
    server = serve(ScriptedAnswering())
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        head = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000000\r\n"
        connection.sendall(head + b"Expect: 100-continue\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")


def test_headers_that_are_too_large_are_refused(serve):
    server = serve(ScriptedAnswering())
    with socket.create_connection(("127.0.0.1", server.port), 30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000)
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"model": "starter", "messages": ', b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/responses"])
def test_what_is_no_request_is_refused(serve, ask, path, body):
    answering = ScriptedAnswering()
    assert ask(serve(answering), "POST", path, body).status == 400
    assert answering.requests == []


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/nothing", 404), ("GET", "/api/chat", 405), ("PUT", "/", 405)]
)
def test_what_is_not_served_is_said(serve, ask, method, path, status):
    reply = ask(serve(ScriptedAnswering()), method, path)
    assert reply.status == status
    assert f"{method} {path} is not served here." in reply.content.decode()
