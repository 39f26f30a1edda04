"""Proxies, certificates, redirects and waiting, as users' networks have them."""

import email.utils
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import DownloadError, HubError
from engine.library.download import RemoteFile, Transfer, download
from engine.library.network import Transport, origin, proxy_for, redirected, retry_after, split, tls, unreachable
from tests.helpers.hub_server import COMMIT, Hub, Storage, lfs_sha256
from tests.helpers.proxies import HttpProxy, SocksProxy

CERTIFICATES = Path(__file__).parents[2] / "helpers" / "certificates"
WEIGHTS = bytes(range(256)) * 40
NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    names = [f"{kind}_proxy" for kind in ("http", "https", "all", "no", "socks")]
    others = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
    for name in (*names, *(name.upper() for name in names), *others):
        monkeypatch.delenv(name, raising=False)


# ------------------------------------------------------------------------------------------------ proxies
@pytest.mark.parametrize(
    ("name", "value", "url", "used"),
    [
        ("HTTPS_PROXY", "http://proxy:8080", "https://hub/x", "http://proxy:8080"),
        ("https_proxy", "proxy:8080", "https://hub/x", "http://proxy:8080"),
        ("HTTPS_PROXY", "https://proxy", "https://hub/x", "https://proxy"),
        ("HTTP_PROXY", "http://proxy:8080", "https://hub/x", None),
        ("http_proxy", "http://proxy:8080", "http://hub/x", "http://proxy:8080"),
        ("ALL_PROXY", "socks5://proxy:1080", "https://hub/x", "socks5://proxy:1080"),
        ("all_proxy", "socks5h://proxy:1080", "http://hub/x", "socks5h://proxy:1080"),
        ("ALL_PROXY", "socks://proxy:1080", "https://hub/x", "socks5://proxy:1080"),
        ("SOCKS_PROXY", "http://proxy:1080", "https://hub/x", "socks5://proxy:1080"),  # as macOS hands its setting on
        ("ALL_PROXY", "socks5://user:word@proxy:1080", "https://hub/x", "socks5://user:word@proxy:1080"),
    ],
)
def test_the_proxy_is_the_environments(monkeypatch, name, value, url, used):
    monkeypatch.setenv(name, value)
    found = proxy_for(url)
    assert (found and found.url) == used
    assert found is None or found.setting == name


@pytest.mark.parametrize(
    ("exceptions", "url", "straight"),
    [
        ("*", "https://hub/x", True),
        ("hub", "https://hub/x", True),
        (".example.com", "https://a.example.com/x", True),
        ("example.com", "https://a.example.com/x", True),
        ("example.com", "https://an-example.com/x", False),
        ("a.com, b.com", "https://b.com/x", True),
        ("hub:8443", "https://hub:8443/x", True),
        ("hub:8443", "https://hub/x", False),
        ("127.0.0.1", "http://127.0.0.1:5/x", True),
        ("10.0.0.0/8", "https://10.20.30.40/x", True),
        ("10.0.0.0/8", "https://11.20.30.40/x", False),
        ("::1", "https://[::1]:8443/x", True),
        ("[::1]", "https://[::1]/x", True),
        ("fd00::/8", "https://[fd00::7]/x", True),
        (",, ,", "https://hub/x", False),
    ],
)
def test_what_is_excepted_is_asked_straight(monkeypatch, exceptions, url, straight):
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert (proxy_for(url) is None) == straight


@pytest.mark.parametrize(
    "value",
    [
        "http://[",
        "http://proxy:99999999",
        "http://proxy:port",
        "http://",
        "socks4://proxy:1",
        "ftp://proxy",
        "://",
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_and_not_shown(monkeypatch, value):
    secret = value.replace("//proxy", "//user:secret@proxy")
    monkeypatch.setenv("HTTPS_PROXY", secret)
    with pytest.raises(HubError, match="HTTPS_PROXY names") as raised:
        proxy_for("https://hub/x")
    assert "secret" not in str(raised.value)


@pytest.fixture
def hub():
    with Storage() as storage, Hub(storage) as hub:
        hub.files = {"weights": WEIGHTS}
        yield hub


def fetch(hub, folder, url=None):
    file = RemoteFile(
        "weights", url or f"{hub.url}/tiny/opt/resolve/{COMMIT}/weights", len(WEIGHTS), lfs_sha256(WEIGHTS)
    )
    download([file], folder, transfer=Transfer(tries=2, pause=0.01, longest_pause=0.01))
    assert (folder / "weights").read_bytes() == WEIGHTS


@pytest.mark.parametrize(
    ("kind", "scheme"), [(SocksProxy, "socks5"), (SocksProxy, "socks5h"), (SocksProxy, "socks"), (HttpProxy, "http")]
)
def test_files_and_look_ups_go_through_the_proxy(hub, tmp_path, monkeypatch, kind, scheme):
    with kind() as proxy:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{proxy.address}")
        fetch(hub, tmp_path)
        places = {url.removeprefix("http://") for url in (hub.url, hub.storage.url)}
        assert set(proxy.asked) == places
        with httpx2.Client(transport=Transport()) as client:
            assert client.get(f"{hub.url}/api/nothing").status_code == 404
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        asked = len(proxy.asked)
        fetch(hub, tmp_path / "straight")
        assert len(proxy.asked) == asked


def test_a_proxy_that_is_not_there_is_named(hub, tmp_path, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@127.0.0.1:9")
    with pytest.raises(DownloadError, match="through the proxy that ALL_PROXY names") as raised:
        fetch(hub, tmp_path)
    assert "secret" not in str(raised.value)


# ------------------------------------------------------------------------------------------- certificates
@pytest.fixture
def secure():
    """A server with a certificate of an authority that nobody else knows."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(WEIGHTS)))
            self.end_headers()
            self.wfile.write(WEIGHTS)

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address):
            pass

    server = Server(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}/weights"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_companys_own_certificate_is_trusted_once_it_is_named(hub, secure, tmp_path, monkeypatch, name):
    with pytest.raises(DownloadError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
        fetch(hub, tmp_path, secure)
    monkeypatch.setenv(name, str(CERTIFICATES / "authority.pem"))
    fetch(hub, tmp_path, secure)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\x00"])
def test_a_file_without_certificates_is_named(tmp_path, monkeypatch, content):
    path = tmp_path / "roots.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(HubError, match=r"SSL_CERT_FILE names .*roots\.pem, which holds no certificates"):
        tls()


def test_a_server_that_is_not_there_cannot_be_reached():
    assert unreachable("https://hub/x", OSError()) == "it cannot be reached"


# -------------------------------------------------------------------------------------- URLs and redirects
@pytest.mark.parametrize("url", ["http://[", "http://host:99999999/", "https://host:port/", "http://\x00/"])
def test_what_is_no_web_address_is_said(url):
    with pytest.raises(HubError, match="no web address"):
        split(url)


@pytest.mark.parametrize(
    "location", ["http://[", "http://host:99999999/x", "file:///etc/passwd", "http://host/x", "data:,x", "javascript:x"]
)
def test_a_hostile_redirect_is_refused(location):
    with pytest.raises(DownloadError, match="redirects to"):
        redirected("https://hub/file", location)


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/other", "https://hub/other"),
        ("//cdn/x", "https://cdn/x"),
        ("https://cdn:8443/x?s=1", "https://cdn:8443/x?s=1"),
    ],
)
def test_a_redirect_is_followed(location, target):
    assert redirected("https://hub/file", location) == target


@given(st.text())
def test_any_location_is_followed_or_refused(location):
    try:
        assert redirected("https://hub/file", location).startswith("https://")
    except DownloadError as error:
        assert str(error).isprintable()


def test_an_origin_is_scheme_host_and_port():
    assert origin("https://hub/a") == origin("https://hub:443/b") != origin("http://hub/a")


# ------------------------------------------------------------------------------------------------ waiting
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "6"}, 6),
        ({"Retry-After": " 6 "}, 6),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": email.utils.formatdate(NOW + 90, usegmt=True)}, 90),
        ({"Retry-After": email.utils.formatdate(NOW + 90)}, 90),
        ({"Retry-After": email.utils.formatdate(NOW - 90, usegmt=True)}, 0),
        ({"RateLimit": '"api";r=0;t=55'}, 55),
        ({"RateLimit": '"api"; r=0; t=55, "pages"; r=3; t=9'}, 55),
        ({"RateLimit": "limit=100, remaining=0, reset=50"}, 50),
        ({"RateLimit-Reset": "40"}, 40),
        ({"X-RateLimit-Reset": str(int(NOW) + 30)}, 30),
        ({"Retry-After": "0", "RateLimit": '"api";r=0;t=55'}, 55),
        ({"Retry-After": "nonsense", "RateLimit": "nonsense"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "9" * 400}, 0),
        ({"Retry-After": "Fri, 99 Foo 20 10:00"}, 0),
        ({"Retry-After": "1e3"}, 0),
        ({}, 0),
    ],
)
def test_a_busy_servers_wish_is_read(headers, seconds):
    assert retry_after(httpx2.Headers(headers), NOW) == pytest.approx(seconds)


@given(st.text().map(str.encode), st.sampled_from(["Retry-After", "RateLimit", "RateLimit-Reset", "X-RateLimit-Reset"]))
def test_any_header_is_a_time_or_nothing(value, name):
    assert retry_after(httpx2.Headers([(name.encode(), value)]), NOW) >= 0
