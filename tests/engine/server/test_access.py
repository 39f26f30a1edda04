"""Programs of this computer may ask; pages in a browser, and whoever comes by another name, may not."""

import pytest

from engine.server.access import Access
from tests.helpers.answering import ScriptedAnswering

SITE = "https://chat.example.org"
FORMS = {  # of each protocol's errors, by an address
    "/v1/chat/completions": lambda body: body["error"]["message"],
    "/v1/messages": lambda body: body["error"]["message"] if body["type"] == "error" else None,
    "/api/chat": lambda body: body["error"],
}


@pytest.mark.parametrize("host", ["127.0.0.1:8081", "localhost", "LOCALHOST:1", "[::1]:8081", "host.docker.internal"])
def test_our_own_names_are_answered(serve, ask, host):
    assert ask(serve(ScriptedAnswering()), "GET", "/v1/models", Host=host).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "192.168.1.5:8081", "", "[::1", "a@b:c"]
)
@pytest.mark.parametrize("path", FORMS)
def test_another_name_is_refused_in_each_protocols_form(serve, ask, host, path):
    reply = ask(serve(ScriptedAnswering()), "POST", path, {}, Host=host)
    assert reply.status == 403
    assert "name of another computer" in FORMS[path](reply.body)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9"},
        {"Sec_Fetch_Site": "cross-site"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/models"), ("POST", "/api/chat"), ("OPTIONS", "/v1/messages")]
)
def test_a_page_is_refused(serve, ask, headers, method, path):
    answering = ScriptedAnswering()
    reply = ask(serve(answering, Access(origins=(SITE,))), method, path, **headers)
    assert reply.status == 403
    assert "access-control-allow-origin" not in reply.headers
    assert answering.requests == []


def test_pages_of_a_named_site_may_ask(serve, ask):
    server = serve(ScriptedAnswering(), Access(key="secret", origins=(SITE,)))
    asks = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}
    preflight = ask(server, "OPTIONS", "/v1/chat/completions", Origin=SITE, **asks)
    assert preflight.status == 200
    assert preflight.headers["access-control-allow-origin"] == SITE
    reply = ask(server, "GET", "/v1/models", Origin=SITE, Authorization="Bearer secret", Sec_Fetch_Site="cross-site")
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, SITE)
    assert ask(server, "GET", "/v1/models", Origin=SITE).status == 401


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer other"}, {"Authorization": "secret"}, {"x_api_key": "secret2"}]
)
@pytest.mark.parametrize("path", FORMS)
def test_a_key_must_be_the_right_one(serve, ask, headers, path):
    answering = ScriptedAnswering()
    reply = ask(serve(answering, Access(key="secret")), "POST", path, {}, **headers)
    assert reply.status == 401
    assert "key is missing" in FORMS[path](reply.body)
    assert answering.requests == []


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer secret"}, {"authorization": "bearer  secret"}, {"x_api_key": "secret"}]
)
def test_the_right_key_opens(serve, ask, headers):
    assert ask(serve(ScriptedAnswering(), Access(key="secret")), "GET", "/v1/models", **headers).status == 200


def test_a_key_is_not_told_by_what_holds_it():
    assert "secret" not in repr(Access(key="secret"))
