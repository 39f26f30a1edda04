"""A Hub on loopback that serves one small repository, and misbehaves when told to.

Files come by redirect from a second server, as the real Hub's come from elsewhere. `hub.faults` and `storage.faults`
are what goes wrong with the next requests for files, one fault a request; afterwards all is well.
"""

import gzip
import hashlib
import json
import socket
import struct
import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 2000  # bytes from which a file is kept apart, with a sha256, as the Hub does


def lfs_sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Server(ThreadingHTTPServer):
    """requests: (path, range, authorization) of each request for a file. hold: while clear, `stall` goes on."""

    daemon_threads = True

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.faults, self.requests = deque(), []
        self.retry_after = "0"
        self.sent_before_stall, self.stalled, self.hold = 0, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.hold.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is none of our business."""


class Storage(Server):
    """Serves content by its sha256, in ranges."""

    def __init__(self):
        super().__init__(_StorageHandler)
        self.content: dict[str, bytes] = {}


class Hub(Server):
    """The Hub's API for one repository, `repo`. gated: who has no token gets no file."""

    def __init__(self, storage: Storage, folder: Path | None = None, repo: str = "tiny/opt", gated: bool = False):
        super().__init__(_HubHandler)
        self.storage, self.repo, self.gated = storage, repo, gated
        self.token, self.api_faults, self.api_requests = "hf_secret", deque(), []
        self.sizes, self.changes = True, {}  # of what the API says: file sizes, and values that take others' place
        self.found: object = []  # the answer to a search
        self.files = {p.name: p.read_bytes() for p in sorted(folder.iterdir())} if folder else {}

    def info(self) -> dict:
        siblings = []
        for name, content in self.files.items():
            entry = {"rfilename": name, "size": len(content), "blobId": git_sha1(content)}
            if len(content) >= LARGE:
                entry["lfs"] = {"size": len(content), "sha256": lfs_sha256(content), "pointerSize": 130}
            siblings.append(entry if self.sizes else {"rfilename": name})
        config = json.loads(self.files.get("config.json", b"{}"))
        return {
            "id": self.repo,
            "sha": COMMIT,
            "gated": "auto" if self.gated else False,
            "cardData": {"license": "mit"},
            "config": {"model_type": config.get("model_type")} if isinstance(config, dict) else {},
            "tags": [],
            "siblings": siblings,
        } | self.changes


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        pass

    def answer(self, status: int, body: bytes = b"", **headers) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)

    def note(self) -> str | int | None:
        """Remember the request; what goes wrong with it."""
        request = (self.path, self.headers.get("Range"), self.headers.get("Authorization"))
        self.server.requests.append(request)
        return self.server.faults.popleft() if self.server.faults else None

    def fail(self, fault: int) -> None:
        headers = {"Retry_After": self.server.retry_after} if fault in (429, 503) else {}
        self.answer(fault, b"no", **headers)


class _HubHandler(_Handler):
    server: Hub

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        hub, models = self.server, f"/api/models/{self.server.repo}"
        if path.startswith("/api/"):
            hub.api_requests.append((self.path, self.headers.get("Authorization")))
            if hub.api_faults:
                return self.fault(hub.api_faults.popleft())
            if path == "/api/models":
                return self.answer(200, json.dumps(hub.found).encode(), Content_Type="application/json")
            if path in (models, f"{models}/revision/main", f"{models}/revision/{COMMIT}"):
                return self.answer(200, json.dumps(hub.info()).encode(), Content_Type="application/json")
            error = "RevisionNotFound" if path.startswith(f"{models}/revision/") else "RepoNotFound"
            return self.answer(404, b"{}", X_Error_Code=error)
        return self.resolve(path)

    def fault(self, fault: int | dict) -> None:
        """A status, or the headers of a redirect or of a server that is busy."""
        if isinstance(fault, int):
            return self.answer(fault, b"{}")
        return self.answer(302 if "Location" in fault else 429, b"{}", **fault)

    def resolve(self, path: str) -> None:
        hub, fault = self.server, self.note()
        content = hub.files.get(path.removeprefix(f"/{hub.repo}/resolve/{COMMIT}/"))
        if isinstance(fault, int):
            return self.fail(fault)
        if hub.gated and self.headers.get("Authorization") != f"Bearer {hub.token}":
            return self.answer(403, b"", X_Error_Code="GatedRepo")
        if content is None:
            return self.answer(404, b"", X_Error_Code="EntryNotFound")
        name = lfs_sha256(content)
        hub.storage.content[name] = content
        return self.answer(302, Location=fault or f"{hub.storage.url}/{name}?signed=yes")


class _StorageHandler(_Handler):
    server: Storage

    def do_GET(self):
        fault = self.note()
        if isinstance(fault, int):
            self.fail(fault)
        else:
            self.serve(fault)

    def serve(self, fault: str | None) -> None:
        content = self.server.content[urlsplit(self.path).path[1:]]
        first, last = (int(n) for n in self.headers["Range"].removeprefix("bytes=").split("-"))
        if fault in ("plain", "login page"):
            body = content if fault == "plain" else b"<html>Please sign in"
            self.answer(200, body)
            return
        if fault in ("packed", "packed part", "packed oddly"):
            body = gzip.compress(content if fault == "packed" else content[first : last + 1])
            status, packing = 200 if fault == "packed" else 206, "br" if fault == "packed oddly" else "gzip"
            self.answer(status, body, Content_Encoding=packing)
            return
        if fault in ("no place", "no size", "always the start"):
            part = content[first : last + 1] if fault != "always the start" else content[: last + 1 - first]
            self.answer(206, part, **({"Content_Range": f"bytes {first}-{last}/*"} if fault == "no size" else {}))
            return
        if fault == "other range":
            first -= 1 if first else -1
        if fault == "other size":
            content += b"more"
        body = content[first : last + 1]
        if fault == "corrupt":
            body = bytes(255 - b for b in body)
        extra = b"too much" if fault == "long" else b""
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{first + len(body) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(body) + len(extra)))
        self.end_headers()
        self.send_body(body + extra, fault)

    def send_body(self, body: bytes, fault: str | None) -> None:
        half = len(body) // 2
        if fault in ("short", "reset"):
            self.wfile.write(body[:half])
            self.close_connection = True
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
        elif fault == "stall":
            self.wfile.write(body[:half])
            self.wfile.flush()
            self.server.sent_before_stall = half
            self.server.stalled.set()
            self.server.hold.wait(30)
            self.close_connection = True
        elif fault == "slow":
            for at in range(0, len(body), max(len(body) // 8, 1)):
                self.wfile.write(body[at : at + max(len(body) // 8, 1)])
                self.wfile.flush()
        else:
            self.wfile.write(body)
