import pytest
from PySide6.QtCore import QUrl

from app.chat.links import honest


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://example.org/a%20b?c=d", "https://example.org/a%20b?c=d"),
        ("https://example.org/\u6587", "https://example.org/\u6587"),
        # a Cyrillic \u0430 among Latin letters
        ("https://xn--pple-43d.com/login", "https://xn--pple-43d.com/login"),
        ("https://\u0430pple.com", "https://xn--pple-43d.com"),
        ("https://www.g\u03bfogle.com", "https://www.xn--gogle-rce.com"),
        # one script, that is not ours: both ways
        (
            "https://\u043f\u0440\u0438\u043c\u0435\u0440.org",
            "https://xn--e1afmkfd.org\n(\u043f\u0440\u0438\u043c\u0435\u0440.org)",
        ),
        ("https://\u4f8b\u3048.jp", "https://xn--r8jz45g.jp\n(\u4f8b\u3048.jp)"),
        # direction, and what cannot be seen
        ("https://example.org/\u202egpj.exe", "https://example.org/%E2%80%AEgpj.exe"),
        ("https://example.org/a\u200bb\u2066c", "https://example.org/a%E2%80%8Bb%E2%81%A6c"),
        # what looks like a name and is none
        ("https://apple.com@evil.example/x", "https://evil.example/x"),
        ("mailto:a@example.org", "mailto:a@example.org"),
    ],
)
def test_an_address_shows_where_it_leads(address, shown):
    assert honest(QUrl(address)) == shown
