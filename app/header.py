"""The tool bar: buttons at both ends, and in the middle the model's name, which is a button to switch it."""

from collections.abc import Callable

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QFont, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QAbstractButton, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from app.widgets.colours import colours, mix
from app.widgets.focus import Ringed
from app.widgets.icons import GRID, icon
from app.widgets.labels import quiet, scaled
from app.widgets.toolbar import ToolBar

TOOL_SIZE = 32
CHEVRON, GAP, PADDING = 7, 6, (10, 2)
MAX_NAME_WIDTH = 360  # pixels of a model's name
ROUNDING_PIXELS = 3  # pixels: a text's parts are rounded one by one


class ModelButton(Ringed, QAbstractButton):
    """A model's name with a small arrow."""

    def __init__(self) -> None:
        super().__init__()
        self.setFont(scaled(self.font(), 1.0, QFont.Weight.DemiBold))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setToolTip(self.tr("Switch Model"))
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        width = min(self.fontMetrics().horizontalAdvance(self.text()) + ROUNDING_PIXELS, MAX_NAME_WIDTH)
        return QSize(width + GAP + CHEVRON + 2 * PADDING[0], self.fontMetrics().height() + 2 * PADDING[1])

    def minimumSizeHint(self) -> QSize:
        return QSize(GAP + CHEVRON + 2 * PADDING[0] + 40, self.sizeHint().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        shades, painter = colours(self.palette()), QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self.underMouse() or self.isDown():
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(mix(shades.text, self.palette().window().color(), 0.86 if self.isDown() else 0.92))
            painter.drawRoundedRect(QRectF(self.rect()), 6, 6)
        room = self.width() - GAP - CHEVRON - 2 * PADDING[0]
        text = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideMiddle, room)
        width = self.fontMetrics().horizontalAdvance(text)
        painter.setPen(shades.text)
        painter.drawText(QRectF(PADDING[0], 0, width + 1, self.height()), Qt.AlignmentFlag.AlignVCenter, text)
        left, middle = PADDING[0] + width + GAP, self.height() / 2 + 0.5
        painter.setPen(QPen(shades.quiet, 1.5, Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
        arrow = [
            QPointF(left, middle - 2),
            QPointF(left + CHEVRON / 2, middle + 1.5),
            QPointF(left + CHEVRON, middle - 2),
        ]
        painter.drawPolyline(QPolygonF(arrow))


class Header(ToolBar):
    """`title` is the model's button, `subtitle` a few words below it."""

    def __init__(self, actions: dict[str, QAction], parent: QWidget):
        super().__init__("", parent)
        self.setWindowTitle(self.tr("Toolbar"))
        self._sidebar, self._panel = actions["show_sidebar"], actions["panel"]
        self.title, self.subtitle = ModelButton(), quiet()
        self.title.clicked.connect(actions["switch_model"].trigger)
        self.sidebar_button = _tool_button("", self._sidebar.toggle)
        self.models_button = _tool_button(self.tr("Models"), actions["models"].trigger)
        self.new_chat_button = _tool_button(self.tr("New chat"), actions["new_chat"].trigger)
        self.panel_button = _tool_button("", self._panel.toggle)
        for widget in (
            self.sidebar_button,
            self.models_button,
            self._title_block(),
            self.new_chat_button,
            self.panel_button,
        ):
            self.addWidget(widget)
        for action in (self._sidebar, self._panel):
            action.toggled.connect(self.colour_icons)
        self.colour_icons()

    def say(self, title: str, subtitle: str) -> None:
        """Show a model's name, and a few words on it."""
        self.title.setText(title)
        self.title.setAccessibleName(self.tr("{0}, {1}. Switch model").format(title, subtitle))
        self.title.updateGeometry()
        self.subtitle.setText(subtitle)

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and hasattr(self, "panel_button"):  # also while this is built
            self.colour_icons()

    def colour_icons(self) -> None:
        """Paint the icons in the present colours; what is shown has the accent's."""
        shades = colours(self.palette())
        self.models_button.setIcon(icon("models", shades.quiet))
        self.new_chat_button.setIcon(icon("new chat", shades.quiet))
        shown = self._sidebar.isChecked()
        self.sidebar_button.setIcon(icon("sidebar", shades.accent if shown else shades.quiet))
        _name(self.sidebar_button, self.tr("Hide the sidebar") if shown else self.tr("Show the sidebar"))
        shown = self._panel.isChecked()
        self.panel_button.setIcon(icon("panel", shades.accent if shown else shades.quiet))
        _name(self.panel_button, self.tr("Hide the live panel") if shown else self.tr("Show the live panel"))

    def _title_block(self) -> QWidget:
        block = QWidget()
        block.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        layout = QVBoxLayout(block)
        layout.setContentsMargins(0, 3, 0, 5)
        layout.setSpacing(0)
        self.subtitle.setAlignment(Qt.AlignmentFlag.AlignCenter)
        layout.addWidget(self.title, 0, Qt.AlignmentFlag.AlignHCenter)
        layout.addWidget(self.subtitle)
        return block


def _tool_button(name: str, slot: Callable[[], object]) -> QToolButton:
    button = QToolButton(autoRaise=True)
    button.setIconSize(QSize(GRID, GRID))
    button.setFixedSize(TOOL_SIZE, TOOL_SIZE)
    _name(button, name)
    button.clicked.connect(slot)
    return button


def _name(button: QToolButton, name: str) -> None:
    button.setAccessibleName(name)
    button.setToolTip(name)
