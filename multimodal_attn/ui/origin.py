"""Who may talk to the server: its own page, under a name that the person who started it knows."""

from collections.abc import Iterable
from urllib.parse import urlsplit

LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"referrer-policy", b"same-origin"),
]
FORWARDED = (b"x-forwarded-", b"x-gradio-", b"forwarded")  # would set the urls of the page


class Names:
    """The names by which the server may be asked: loopback, `host`, and `allowed` ones, which a proxy may stand for.

    The port must be the server's; an allowed name may come with any port, for it is the proxy's.
    """

    def __init__(self, host: str, allowed: Iterable[str] = ()) -> None:
        self.own = {*LOOPBACK, host.strip("[]").lower()}
        self.allowed = {name.strip("[]").lower() for name in allowed}

    def admits(self, host: str, port: int) -> bool:
        """host: the Host header."""
        try:
            parts = urlsplit(f"//{host}")
            name, its_port = (parts.hostname or "").lower(), parts.port or 80
        except ValueError:
            return False
        if parts.netloc != host or "@" in host or not name:
            return False
        return name in self.allowed or name in self.own and its_port == port

    def is_https(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a proxy says so, which is believed for the names that it was allowed to stand for."""
        named = dict(headers)
        host = urlsplit(f"//{named[b'host'].decode('latin-1')}").hostname
        return host in self.allowed and named.get(b"x-forwarded-proto", b"").split(b",")[0].strip() == b"https"


def refusal(names: Names, method: str, headers: list[tuple[bytes, bytes]], port: int) -> str | None:
    """One line for a request of a foreign page or under a foreign name, or None."""
    hosts = [value.decode("latin-1") for key, value in headers if key == b"host"]
    if len(hosts) != 1 or not names.admits(hosts[0], port):
        return "This app is not known by this name; start it with --allow-host NAME to allow it."
    origins = [value.decode("latin-1") for key, value in headers if key == b"origin"]
    if method not in ("GET", "HEAD") and any(urlsplit(origin).netloc != hosts[0] for origin in origins):
        return "Only the app's own page may ask this."
    return None


def without_foreign(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of a request without those that pretend to be a proxy's, and without what Gradio answers CORS for."""
    return [(key, value) for key, value in headers if key != b"origin" and not key.startswith(FORWARDED)]
