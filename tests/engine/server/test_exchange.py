"""Exchanges: cancelled when their clients leave, kept alive while nothing happens."""

import json
import socket
import threading
import urllib.request
from contextlib import contextmanager, suppress
from itertools import islice

import ollama
import openai
import pytest

from engine.server import exchange
from engine.server import server as server_module
from engine.server.answering import Loading, Prefilling
from engine.statistics import PromptProgress
from tests.helpers.answering import ScriptedAnswering, wait_until

ASKED = {"model": "starter", "messages": [{"role": "user", "content": "Hello!"}]}
PATHS = {  # and what each asks for beside
    "/v1/chat/completions": {},
    "/v1/completions": {"prompt": "Hello!"},
    "/v1/responses": {"input": "Hello!"},
    "/v1/messages": {"max_tokens": 9},
    "/api/chat": {},
    "/api/generate": {"prompt": "Hello!"},
}


def begin(server, path="/v1/chat/completions", version="1.1", **more):
    """A connection on which an answer was asked for."""
    body = json.dumps(ASKED | PATHS[path] | more).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), 30)
    head = f"POST {path} HTTP/{version}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


@contextmanager
def relay(server):
    """An address at which each client sends one request, and no more."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_relay, args=(listening, server.port))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def _relay(listening, port):
    with suppress(OSError):
        while True:
            client, _ = listening.accept()
            with client, socket.create_connection(("127.0.0.1", port), 30) as server:
                server.sendall(_request(client))
                server.shutdown(socket.SHUT_WR)
                for part in iter(lambda: server.recv(4096), b""):
                    client.sendall(part)


def _request(client) -> bytes:
    head, _, body = read_until(client, b"\r\n\r\n").partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += client.recv(4096)
    return head + b"\r\n\r\n" + body


def read_until(connection, mark: bytes) -> bytes:
    content = b""
    while mark not in content:
        content += connection.recv(4096)
    return content


def test_a_client_that_leaves_a_stream_cancels_its_request(serve):
    answering = ScriptedAnswering(waits=True)
    connection = begin(serve(answering), stream=True)
    read_until(connection, b"Let me ")
    assert not answering.requests[0].cancelled.is_set()
    connection.close()
    assert answering.cancelled.wait(30)


def test_a_client_that_leaves_before_the_whole_answer_cancels_its_request(serve):
    answering = ScriptedAnswering(waits=True)
    connection = begin(serve(answering))
    while not answering.requests:
        pass
    connection.close()
    assert answering.cancelled.wait(30)


@pytest.mark.parametrize("version", ["1.1", "1.0"])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_sends_no_more_gets_its_answer(serve, monkeypatch, path, stream, version):
    """It is looked for meanwhile, many times; half of the answer comes later."""
    monkeypatch.setattr(server_module, "SOUGHT_S", 0.001)
    answering = ScriptedAnswering(pause_s=0.05)
    connection = begin(serve(answering), path, version, stream=stream)
    connection.shutdown(socket.SHUT_WR)
    content = b"".join(iter(lambda: connection.recv(4096), b""))
    connection.close()
    head, _, body = content.rpartition(b"HTTP/")[2].partition(b"\r\n\r\n")
    assert head.startswith(b"1.1 200 OK")
    assert b" cold." in body
    assert not answering.cancelled.is_set()
    assert (b"100 Continue" in content) == (version == "1.1")


def test_official_clients_take_what_is_sent_while_they_are_looked_for(serve, connect, monkeypatch):
    monkeypatch.setattr(server_module, "SOUGHT_S", 0.001)
    with relay(serve(ScriptedAnswering(pause_s=0.05))) as address:
        client = connect(openai.OpenAI, base_url=f"{address}/v1", api_key="none", max_retries=0)
        assert client.chat.completions.create(**ASKED).choices[0].message.content == "It is cold."
        assert connect(ollama.Client, host=address).chat(**ASKED).message.content == "It is cold."
        asked = urllib.request.Request(f"{address}/api/chat", json.dumps(ASKED).encode())
        with urllib.request.urlopen(asked) as reply:
            assert b"cold" in reply.read()


@pytest.mark.parametrize(("stream", "mark"), [(False, b"100 Continue"), (True, b": waiting")])
def test_a_client_that_sends_no_more_and_then_leaves_cancels_its_request(serve, monkeypatch, stream, mark):
    monkeypatch.setattr(server_module, "SOUGHT_S", 0.01)
    monkeypatch.setattr(exchange, "SILENCE_S", 0.01)
    answering = ScriptedAnswering(waits=True)
    connection = begin(serve(answering), stream=stream)
    connection.shutdown(socket.SHUT_WR)
    read_until(connection, mark)
    wait_until(lambda: answering.requests)
    assert not answering.requests[0].cancelled.is_set()
    connection.close()
    assert answering.cancelled.wait(30)


def test_a_client_that_leaves_within_its_question_asks_nothing(serve):
    answering = ScriptedAnswering()
    with socket.create_connection(("127.0.0.1", serve(answering).port), 30) as connection:
        connection.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1000) == b""
    assert not answering.requests


def test_questions_behind_one_another_are_answered_though_no_more_come(serve):
    asked = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", serve(ScriptedAnswering()).port), 30) as connection:
        connection.sendall(asked * 3)
        connection.shutdown(socket.SHUT_WR)
        content = b"".join(iter(lambda: connection.recv(4096), b""))
    assert content.count(b"HTTP/1.1 200 OK") == 3


def test_a_server_that_stops_cancels_what_is_under_way(serve):
    answering = ScriptedAnswering(waits=True)
    server = serve(answering)
    connection = begin(server, stream=True)
    read_until(connection, b"Let me ")
    assert server.stop(10)
    assert answering.cancelled.wait(30)
    connection.close()


def test_a_stream_in_which_nothing_happens_is_kept_alive_and_clients_pass_over_it(serve, connect, monkeypatch):
    monkeypatch.setattr(exchange, "SILENCE_S", 0.02)
    answering = ScriptedAnswering(waits=True)
    server = serve(answering)
    connection = begin(server, stream=True)
    assert b": waiting\n\n" in read_until(connection, b": waiting")
    connection.close()
    client = connect(openai.OpenAI, base_url=f"{server.address}/v1", api_key="none", max_retries=0)
    with client.chat.completions.create(**ASKED, stream=True) as stream:
        said = [chunk.choices[0].delta for chunk in islice(stream, 2)]
    assert said[1].reasoning_content == "Let me "


def test_a_stream_says_how_far_its_prompt_is(serve, monkeypatch):
    monkeypatch.setattr(exchange, "SILENCE_S", 0.02)
    answering = ScriptedAnswering(
        waits=True, before=(Loading(0.5, "reading"), Prefilling(PromptProgress(512, 2048, 9.4)))
    )
    connection = begin(serve(answering), stream=True)
    assert b"\n: prefill 512 of 2048 tokens, 9 s left\n\n" in read_until(connection, b"9 s left\n\n")
    connection.close()


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/messages"])
def test_a_mistake_in_the_middle_of_a_stream_is_told_in_it(serve, ask, path):
    body = {"model": "starter", "input": "x", "max_tokens": 5, "messages": ASKED["messages"], "stream": True}
    reply = ask(serve(ScriptedAnswering(breaks=KeyError("secret"))), "POST", path, body)
    assert reply.status == 200
    assert b"event: error" in reply.content
    assert b"Something went wrong inside" in reply.content
    assert b"secret" not in reply.content
