"""Numbers as people read them, the way of their language. Decimal units, as on the drive's box; a number never parts
from its unit.
"""

from PySide6.QtCore import QLocale

from app.widgets.language import tr

NO_BREAK_SPACE = "\u00a0"
PREFIXES = ("B", "KB", "MB", "GB", "TB")


def size(count: float) -> str:
    """Bytes: `12.3 MB`."""
    if not count:
        return f"0{NO_BREAK_SPACE}MB"
    step = 0
    while count >= 999.5 and step < len(PREFIXES) - 1:
        count, step = count / 1000, step + 1
    return f"{decimal(count, 1 if step and count < 99.95 else 0)}{NO_BREAK_SPACE}{PREFIXES[step]}"


def rate(bytes_per_second: float) -> str:
    """Bytes a second: `201 MB/s`."""
    return f"{size(bytes_per_second)}/s"


def count(value: float) -> str:
    """A whole number, thousands grouped; large ones as `134 k`."""
    return f"{decimal(value / 1000, 0)}{NO_BREAK_SPACE}k" if value >= 99_500 else whole(value)


def whole(value: float) -> str:
    """A whole number to the last digit, thousands grouped: `131,072`."""
    return QLocale().toString(round(value))


def decimal(value: float, digits: int) -> str:
    """A number with so many digits after the point."""
    return QLocale().toString(float(value), "f", digits)


def plain(value: float) -> str:
    """A number with the digits that it needs: `0.6`, `40`."""
    return QLocale().toString(float(value), "g", 6)


def percent(share: float) -> str:
    """A share of one: `96 %`; a decimal where whole per cents would hide it."""
    value = 100 * share
    digits = 1 if 0 < value < 9.95 or 99 < value < 100 else 0
    return f"{decimal(min(value, 99.9) if digits else value, digits)}{NO_BREAK_SPACE}%"


def signed_percent(share: float) -> str:
    """A change as a share of one: `+0.1 %`, `−2.0 %`; never a minus before zero."""
    digits = decimal(abs(100 * share), 1)
    sign = "" if float(f"{abs(100 * share):.1f}") == 0 else "+" if share > 0 else "−"
    return f"{sign}{digits}{NO_BREAK_SPACE}%"


def small_percent(share: float) -> str:
    """A share of one that may be too small for its digits: `0.7 %`, `below 0.001 %`."""
    if 0 < share < 1e-5:
        return tr("below {0}").format(f"{decimal(0.001, 3)}{NO_BREAK_SPACE}%")
    return percent(share) if share >= 1e-3 else f"{decimal(100 * share, 3)}{NO_BREAK_SPACE}%"


def number(value: float) -> str:
    """A figure whose unit stands elsewhere: `302`, `4.1`."""
    return decimal(value, 1 if value < 9.95 else 0)


def milliseconds(value: float) -> str:
    """A short time: `302 ms`, `4.1 ms`."""
    return f"{number(value)}{NO_BREAK_SPACE}ms"


def seconds(value: float) -> str:
    """A time a person waits: `1.8 s`, or `120 ms` where that says more."""
    return milliseconds(1000 * value) if value < 0.995 else f"{decimal(value, 1)}{NO_BREAK_SPACE}s"


def duration(value: float) -> str:
    """A longer time: `40 s`, `12 min`, `3 h 5 min`."""
    if value < 90:
        return tr("{0}\u00a0s").format(whole(value))
    hours, minutes = divmod(round(value / 60), 60)
    if hours:
        return tr("{0}\u00a0h {1}\u00a0min").format(whole(hours), minutes)
    return tr("{0}\u00a0min").format(minutes)
