"""The way to the Hub and its storage: proxies, certificates, redirects, and the time that a busy server has us wait.

Proxies and certificates are the user's: of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY, SSL_CERT_FILE), and of
the system's settings.
"""

import email.utils
import functools
import ipaddress
import os
import re
import ssl
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from time import time
from typing import Generic, Protocol, TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from engine.errors import DownloadError, HubError
from engine.text import Text

PROXY_SCHEMES = ("http", "https", "socks5", "socks5h")
SOCKS = "socks"  # how others write socks5
CERTIFICATE_FILES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
CERTIFICATE_FOLDER = "SSL_CERT_DIR"
DEFAULT_PORTS = {"http": 80, "https": 443}
RATE_LIMIT_WAIT = re.compile(r"(?:;\s*t|\breset)\s*=\s*(\d+)", re.ASCII)
EPOCH_FROM = 10**9  # seconds: X-RateLimit-Reset is a time of the clock from here on, and seconds to wait below
RESET_HEADERS = ("RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset")


# ------------------------------------------------------------------------------------------------ proxies
@dataclass(frozen=True)
class Proxy:
    """A proxy's address, which may hold a password, and the setting that names it."""

    url: str
    setting: str


def proxy_for(url: str) -> Proxy | None:
    """The proxy that requests for a URL go through; None: straight. Raises HubError for one that cannot be used."""
    target, proxies = split(url), getproxies()
    found = next((key for key in (target.scheme, "all", SOCKS) if proxies.get(key)), None)
    if found is None or _goes_straight(target, proxies.get("no", "")):
        return None
    setting, address = _setting(found), proxies[found]
    scheme, _, rest = address.rpartition("://")
    if found == SOCKS or scheme == SOCKS:
        scheme = "socks5"
    return Proxy(_checked(f"{scheme or 'http'}://{rest}", setting), setting)


def _goes_straight(target: SplitResult, exceptions: str) -> bool:
    """True for a host that is excepted from proxies: by name, as Python's own library reads it, or by its address."""
    host = target.hostname or ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bool(proxy_bypass(f"{host}:{port_of(target)}"))
    return bool(proxy_bypass(host)) or any(address in network for network in _networks(exceptions))


def _networks(exceptions: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for name in exceptions.split(","):
        try:
            found.append(ipaddress.ip_network(re.sub(r"[\[\]]", "", name.strip()), strict=False))
        except ValueError:
            continue
    return found


def _setting(key: str) -> str:
    names = (f"{key}_proxy", f"{key.upper()}_PROXY")
    return next((name for name in names if os.environ.get(name)), "the system's network settings")


def _checked(address: str, setting: str) -> str:
    """A proxy's address, if it can be used."""
    try:
        url = httpx2.URL(address)
        split(address)
    except (httpx2.InvalidURL, HubError) as error:
        raise HubError("{setting} names no proxy: it is not written as http://host:port.", setting=setting) from error
    if not url.host:
        raise HubError("{setting} names no proxy: it is not written as http://host:port.", setting=setting)
    if url.scheme not in PROXY_SCHEMES:
        raise HubError(
            "{setting} names a proxy of the kind {scheme}. Flashbulb uses {kinds}: write it as http://host:port or "
            "socks5://host:port.",
            setting=setting,
            scheme=url.scheme,
            kinds=", ".join(PROXY_SCHEMES),
        )
    return address


# -------------------------------------------------------------------------------------------- connections
class _Transport(Protocol):
    def __init__(self, *, verify: ssl.SSLContext, proxy: httpx2.Proxy | None) -> None: ...


T = TypeVar("T", bound=_Transport)


class _Transports(Generic[T]):
    """One transport for each proxy, made when it is needed."""

    def __init__(self, kind: type[T]):
        self._kind = kind
        self.made: dict[str | None, T] = {}

    def for_(self, request: httpx2.Request) -> T:
        proxy = proxy_for(str(request.url))
        key = proxy.url if proxy else None
        if key not in self.made:
            self.made[key] = self._kind(verify=tls(), proxy=_proxy(key) if key else None)
        return self.made[key]


def _proxy(url: str) -> httpx2.Proxy:
    return httpx2.Proxy(url, ssl_context=tls() if url.startswith("https:") else None)


class Transport(httpx2.BaseTransport):
    """Sends each request through its proxy, if it has one."""

    def __init__(self) -> None:
        self._transports = _Transports(httpx2.HTTPTransport)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """As httpx calls it."""
        return self._transports.for_(request).handle_request(request)

    def close(self) -> None:
        """Close every connection."""
        for transport in self._transports.made.values():
            transport.close()


class AsyncTransport(httpx2.AsyncBaseTransport):
    """The same for an event loop."""

    def __init__(self) -> None:
        self._transports = _Transports(httpx2.AsyncHTTPTransport)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """As httpx calls it."""
        return await self._transports.for_(request).handle_async_request(request)

    async def aclose(self) -> None:
        """Close every connection."""
        for transport in self._transports.made.values():
            await transport.aclose()


def tls() -> ssl.SSLContext:
    """The certificates that are trusted: those that the environment names, or else the system's.

    Raises HubError for a file that cannot be read.
    """
    setting = next((name for name in (*CERTIFICATE_FILES, CERTIFICATE_FOLDER) if os.environ.get(name)), None)
    return _tls(setting, os.environ[setting]) if setting else _system_tls()


@functools.cache
def _tls(setting: str, path: str) -> ssl.SSLContext:
    try:
        if setting == CERTIFICATE_FOLDER:
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise HubError(
            "{setting} names {path}, which holds no certificates that can be read.", setting=setting, path=path
        ) from error


@functools.cache
def _system_tls() -> ssl.SSLContext:
    """Made once: reading the system's certificates takes a tenth of a second."""
    return httpx2.create_ssl_context()


def unreachable(url: str, error: Exception) -> Text:
    """The end of a sentence on a server that no connection was made to."""
    if is_of_certificates(error):
        return Text(
            "its certificate is not trusted. If your network has a certificate of its own, name its file in "
            "SSL_CERT_FILE"
        )
    proxy = proxy_for(url)
    if proxy:
        return Text("it cannot be reached through the proxy that {setting} names", setting=proxy.setting)
    return Text("it cannot be reached")


def is_of_certificates(error: BaseException | None) -> bool:
    """True where a server's certificate is not trusted: trying again does not help."""
    return error is not None and (
        "CERTIFICATE_VERIFY_FAILED" in str(error) or is_of_certificates(error.__cause__ or error.__context__)
    )


# -------------------------------------------------------------------------------------------------- URLs
def split(url: str) -> SplitResult:
    """The parts of a URL. Raises HubError for what is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port, httpx2.URL(url)
    except (ValueError, httpx2.InvalidURL) as error:
        raise HubError("{url} is no web address.", url=repr(url)) from error
    return parts


def port_of(parts: SplitResult) -> int | None:
    """The port of an address, or its scheme's; None for a scheme that has none."""
    return parts.port or DEFAULT_PORTS.get(parts.scheme)


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: a token is for one of these alone. Raises HubError."""
    parts = split(url)
    return parts.scheme, parts.hostname, port_of(parts)


def redirected(url: str, location: str) -> str:
    """The address that a server sends us on to. Raises DownloadError where following it would not be safe."""
    host = split(url).hostname
    try:
        target = urljoin(url, location)
        scheme = split(target).scheme
    except (ValueError, HubError) as error:
        raise DownloadError("{host} redirects to something that is no web address.", host=host) from error
    if scheme not in DEFAULT_PORTS or (split(url).scheme, scheme) == ("https", "http"):
        raise DownloadError("{host} redirects to {scheme}, which is not safe.", host=host, scheme=scheme)
    return target


def status_name(status: int) -> str:
    """A status of HTTP with its name, `451 (unavailable for legal reasons)`."""
    try:
        return f"{status} ({HTTPStatus(status).phrase.lower()})"
    except ValueError:
        return str(status)


# ------------------------------------------------------------------------------------------------ waiting
def retry_after(headers: httpx2.Headers, now: float | None = None) -> float:
    """Seconds that a busy server asks us to wait; 0 where it does not say, or makes no sense.

    Read from Retry-After (seconds or a date), from RateLimit, and from the older headers that say when a limit ends.
    now: the time in seconds since 1970.
    """
    now = time() if now is None else now
    asked = headers.get("Retry-After", "").strip()
    said = [_number(asked), _until(asked, now)]
    said += [_number(match[1]) for match in RATE_LIMIT_WAIT.finditer(headers.get("RateLimit", ""))]
    said += [_reset(_number(headers.get(name, "").strip()), now) for name in RESET_HEADERS]
    return next((seconds for seconds in said if seconds is not None and seconds > 0), 0.0)


def _number(text: str) -> float | None:
    """A plain decimal number of at most 12 figures."""
    return float(text) if re.fullmatch(r"\d{1,12}(\.\d{1,9})?", text, re.ASCII) else None


def _until(text: str, now: float) -> float | None:
    """Seconds until a date."""
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
    except (ValueError, OverflowError, TypeError, IndexError):
        return None


def _reset(value: float | None, now: float) -> float | None:
    return value - now if value is not None and value >= EPOCH_FROM else value
