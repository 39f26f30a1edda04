"""Make what the SVG files in icon/ are for: the bundle's .icns, the window's PNG files, the disk image's background."""

import os
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from icnsutil import IcnsFile
from PySide6.QtCore import QBuffer, QIODevice, QSize, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

from check_bundle import ICON_TYPES

ICON_FOLDER = Path(__file__).parent / "icon"
WINDOW_FOLDER = Path(__file__).parents[1] / "resources" / "icon"
WINDOW_SIZES = (16, 32, 64, 128, 256, 512)
BACKGROUND = QSize(350, 150)  # points, as Briefcase opens the disk image's window


def main() -> None:
    icns = IcnsFile()
    for kind, pixels in ICON_TYPES.items():
        icns.add_media(kind, data=_png(icon(pixels)))
    icns.write(str(ICON_FOLDER / "flashbulb.icns"), toc=False)
    WINDOW_FOLDER.mkdir(exist_ok=True)
    for pixels in WINDOW_SIZES:
        icon(pixels).save(str(WINDOW_FOLDER / f"flashbulb-{pixels}.png"))
    for name, scale in (("disk-image.png", 1), ("disk-image@2x.png", 2)):
        draw(ICON_FOLDER / "disk-image.svg", BACKGROUND * scale).save(str(ICON_FOLDER / name))


def icon(pixels: int) -> QImage:
    """From the drawing made for this size, if there is one: details blur at small sizes."""
    own = ICON_FOLDER / f"flashbulb-{pixels}.svg"
    return draw(own if own.exists() else ICON_FOLDER / "flashbulb.svg", QSize(pixels, pixels))


def draw(svg: Path, size: QSize) -> QImage:
    image = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
    image.fill(Qt.GlobalColor.transparent)
    painter = QPainter(image)
    QSvgRenderer(str(svg)).render(painter)
    painter.end()
    return image


def _png(image: QImage) -> bytes:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(buffer.data())
