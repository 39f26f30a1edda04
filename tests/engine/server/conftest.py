"""A server over whatever engine a test has, on a port of its own."""

import json
from contextlib import ExitStack, closing
from http.client import HTTPConnection

import pytest

from engine.server.access import Access
from engine.server.server import Server


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Starts a server. Of models there are those that are built in."""
    monkeypatch.setenv("FLASHBULB_MODELS", str(tmp_path / "models"))
    servers = []

    def start(answering, access=None):
        server = Server(answering, access or Access(), port=0)
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        assert server.stop(60)


@pytest.fixture
def connect():
    """Opens an official client, and closes it: `connect(openai.OpenAI, base_url=…)`."""
    with ExitStack() as stack:
        yield lambda kind, **how: stack.enter_context(closing(kind(**how)))


class Reply:
    """A reply to a request without a client library. body: of JSON, None for others."""

    def __init__(self, response):
        self.status, self.headers, self.content = response.status, response.headers, response.read()
        is_json = self.headers.get("content-type") == "application/json"
        self.body = json.loads(self.content) if is_json else None


@pytest.fixture
def ask():
    """Sends a request as it is."""

    def send(server, method, path, body=None, **headers):
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        content = body if isinstance(body, bytes | None) else json.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, content, named)
        reply = Reply(connection.getresponse())
        connection.close()
        return reply

    return send
