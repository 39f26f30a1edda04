"""Exchanges: cancelled when their clients leave, kept alive while nothing happens."""

import json
import socket
from itertools import islice

import openai
import pytest

from engine.server import exchange
from engine.server.answering import Loading, Prefilling
from engine.statistics import PromptProgress
from tests.helpers.answering import ScriptedAnswering

ASKED = {"model": "starter", "messages": [{"role": "user", "content": "Hello!"}]}


def begin(server, **more):
    """A connection on which an answer was asked for."""
    body = json.dumps(ASKED | more).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), 30)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


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
