"""A proxy on loopback that speaks SOCKS 5, and one that speaks HTTP; each remembers which hosts it was asked for."""

import socket
import socketserver
import struct
import threading
from select import select


class Proxy(socketserver.ThreadingTCPServer):
    """asked: `host:port` of each connection through it."""

    daemon_threads, allow_reuse_address = True, True
    kind = ""

    def __init__(self, handler: type[socketserver.BaseRequestHandler]):
        super().__init__(("127.0.0.1", 0), handler)
        self.asked: list[str] = []
        self.address = f"127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """A client that went away is none of our business."""


class SocksProxy(Proxy):
    """SOCKS 5 without a password."""

    def __init__(self):
        super().__init__(_SocksHandler)


class HttpProxy(Proxy):
    """CONNECT, and plain requests with a whole URL."""

    def __init__(self):
        super().__init__(_HttpHandler)


class _SocksHandler(socketserver.BaseRequestHandler):
    def handle(self):
        _, methods = self._read(2)
        self._read(methods)
        self.request.sendall(b"\x05\x00")
        _, _, _, kind = self._read(4)
        host = socket.inet_ntoa(self._read(4)) if kind == 1 else self._read(self._read(1)[0]).decode()
        (port,) = struct.unpack(">H", self._read(2))
        self.server.asked.append(f"{host}:{port}")
        with socket.create_connection((host, port)) as target:
            self.request.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            relay(self.request, target)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self.request.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data


class _HttpHandler(socketserver.StreamRequestHandler):
    def handle(self):
        method, url, _ = self.rfile.readline().decode().split()
        headers = []
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            headers.append(line)
        place = url.partition("://")[2].partition("/")[0] or url
        host, port = place.split(":")
        self.server.asked.append(place)
        with socket.create_connection((host, int(port))) as target:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                path = "/" + url.partition("://")[2].partition("/")[2]
                target.sendall(f"{method} {path} HTTP/1.1\r\n".encode() + b"".join(headers) + b"\r\n")
            relay(self.connection, target)


def relay(one: socket.socket, other: socket.socket) -> None:
    """Pass on what each sends, until one of them ends."""
    while True:
        for ready in select([one, other], [], [])[0]:
            data = ready.recv(65536)
            if not data:
                return
            (other if ready is one else one).sendall(data)
