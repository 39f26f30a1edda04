"""Every colour that we paint with, derived from the system's palette so that it follows light, dark and accent."""

from dataclasses import dataclass

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QGuiApplication, QPalette


@dataclass(frozen=True)
class Colours:
    """Text and surfaces first, then the monitor's parts, then code, then what a search found."""

    text: QColor
    quiet: QColor
    hairline: QColor
    track: QColor
    base: QColor
    card: QColor
    bubble: QColor
    accent: QColor
    on_accent: QColor
    error: QColor
    resident: QColor
    predictors: QColor
    pool: QColor
    kv_cache: QColor
    workspace: QColor
    app: QColor
    flash: QColor
    memory: QColor
    compute: QColor
    code_comment: QColor
    code_keyword: QColor
    code_string: QColor
    code_number: QColor
    code_name: QColor
    found: QColor


MAX_KNOWN_PALETTES = 64  # palettes
_known: dict[int, Colours] = {}  # by the palette's key: painting asks many times a second


def is_dark(palette: QPalette) -> bool:
    return palette.window().color().lightness() < palette.windowText().color().lightness()


def wants_contrast() -> bool:
    """True if the system is set to more contrast."""
    hints = QGuiApplication.styleHints()
    return hints.accessibility().contrastPreference() == Qt.ContrastPreference.HighContrast


def colours(palette: QPalette) -> Colours:
    """The colours that go with `palette`. Cheap: ask again rather than keep them across a change of appearance."""
    key = palette.cacheKey()
    if key not in _known:
        if len(_known) == MAX_KNOWN_PALETTES:
            _known.clear()
        _known[key] = _derived(palette)
    return _known[key]


def forget() -> None:
    """Derive the colours again: what the system wants has changed without the palettes."""
    _known.clear()


def _derived(palette: QPalette) -> Colours:
    dark, sharp = is_dark(palette), wants_contrast()
    roles = (QPalette.ColorRole.Text, QPalette.ColorRole.Base, QPalette.ColorRole.Window, QPalette.ColorRole.Accent)
    # Of the active group always: a disabled button dims itself, and a window in the background keeps its colours.
    text, base, window, accent = (palette.color(QPalette.ColorGroup.Active, role) for role in roles)
    slate, mist, haze = ("#8b98b3", "#5f6b84", "#474f60") if dark else ("#5f6f8f", "#9aa8c0", "#c6cddb")
    return Colours(
        text=text,
        quiet=mix(text, window, 0.15 if sharp else 0.36),
        hairline=mix(text, window, 0.4 if sharp else 0.84),
        track=mix(text, window, 0.90),
        base=base,
        card=mix(text, base, 0.95),
        bubble=mix(accent, base, 0.68 if dark else 0.87),
        accent=accent,
        on_accent=QColor("white"),
        error=QColor("#ff8a80" if dark else "#b3261e"),
        resident=QColor(slate),
        predictors=QColor(mist),
        pool=accent,
        kv_cache=QColor("#3fbf87" if dark else "#2fa873"),
        workspace=QColor(haze),
        app=mix(text, window, 0.72),
        flash=accent,
        memory=QColor("#f0a23c" if dark else "#e8952a"),
        compute=QColor("#737c90" if dark else "#aab4c8"),
        code_comment=mix(text, window, 0.15 if sharp else 0.42),
        code_keyword=QColor("#ff7ab2" if dark else "#9b2393"),
        code_string=QColor("#ff8170" if dark else "#b3201a"),
        code_number=QColor("#d9c97c" if dark else "#1c00cf"),
        code_name=QColor("#6bdfff" if dark else "#0b4f79"),
        found=mix(QColor("#f5c518"), base, 0.55 if dark else 0.35),
    )


def mix(first: QColor, second: QColor, share: float) -> QColor:
    """`first` with `share` of it replaced by `second`."""
    parts = [(first.red(), second.red()), (first.green(), second.green()), (first.blue(), second.blue())]
    return QColor(*(round(a + (b - a) * share) for a, b in parts))
