"""The live panel: four blocks, refreshed from the host's history while something happens and somebody looks."""

import time

from PySide6.QtCore import QT_TR_NOOP, Qt, QTimer
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QHideEvent, QPalette, QShowEvent
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QVBoxLayout, QWidget

from app.host.engine_host import EngineHost, ModelInfo, State
from app.host.recent_tokens import RecentTokens
from app.monitor.plots import FilledLine, HeatMap, StackedBar, TokenBars
from app.monitor.section import Legend, Section
from app.widgets import units
from app.widgets.focus import Ringed
from app.widgets.labels import SMALL, Label, quiet
from app.widgets.language import tr
from engine.system import pressure

WIDTH = 304
BUSY_MS = 200  # as quick as figures can be read; each refresh takes time from the engine
IDLE_MS = 1000  # the minute of flash traffic still runs out after an answer


class MemorySection(Section):
    ITEMS = (
        (QT_TR_NOOP("Resident"), "resident"),
        (QT_TR_NOOP("Neuron pool"), "neuron_pool"),
        (QT_TR_NOOP("Predictors"), "predictors"),
        (QT_TR_NOOP("KV cache"), "kv_cache"),
        (QT_TR_NOOP("Workspace"), "workspace"),
    )

    def __init__(self):
        super().__init__(
            tr("Memory"),
            tr("Memory that this application uses now, measured by the operating system. The bar shows what the model "
               "was planned to take of its memory budget."),
        )  # fmt: skip
        self.number, self.words = self.add_strong()
        self.bar = StackedBar()
        self.legend = Legend([(tr(name), colour) for name, colour in self.ITEMS])
        self.caption = quiet()
        self.pressed = False  # whether the system is short of memory
        self.alarm = Label(colour="error", factor=SMALL)
        self.alarm.setWordWrap(True)
        self.alarm.hide()
        for widget in (self.bar, self.legend, self.caption, self.alarm):
            self.add(widget)

    def clear(self) -> None:
        """No model is loaded: nothing is known of one."""
        for label in (self.aside, self.words, self.caption):
            label.clear()
        self.number.setText("–")
        self.bar.set_parts([], 0)
        self.legend.set_values(*("–" for _ in self.ITEMS))

    def refresh(self, model: ModelInfo, history: RecentTokens) -> None:
        used = history.latest.footprint_bytes if history.latest else model.footprint_bytes
        budget = model.memory_budget or model.planned_bytes
        self.aside.setText(tr("model {0}").format(units.size(model.model_bytes)))
        self.number.setText(units.size(used))
        self.words.setText(tr("used by Flashbulb"))
        parts = [(name, model.planned.get(name, 0)) for _, name in self.ITEMS]
        self.bar.set_parts(parts, budget)
        self.legend.set_values(*(units.size(value) for _, value in parts))
        share = (
            tr("model's share {0} of a budget of {1}")
            if model.memory_budget
            else tr("model's share {0}, no budget set")
        )
        self.caption.setText(share.format(units.size(model.planned_bytes), units.size(budget)))
        self._show_alarm(model, pressure.memory_pressure())

    def words_for_it(self) -> str:
        alarm = f". {self.alarm.text()}" if self.alarm.text() else ""
        return f"{self.number.text()} {self.words.text()}, {self.caption.text()}: {self.legend.text()}{alarm}"

    def _show_alarm(self, model: ModelInfo, level: pressure.Pressure) -> None:
        self.pressed = level > pressure.Pressure.NORMAL
        levels = {
            pressure.Pressure.NORMAL: "",
            pressure.Pressure.WARNING: tr("⚠ The system is short of memory."),
            pressure.Pressure.CRITICAL: tr("⚠ The system is critically short of memory."),
        }
        given = tr("The neuron pool gave some back; Reload Model restores it.") if model.gave_back else ""
        self.alarm.setText(" ".join(text for text in (levels[level], given) if text))
        self.alarm.setVisible(bool(self.alarm.text()))


class FlashSection(Section):
    def __init__(self):
        super().__init__(
            tr("Flash"),
            tr("Bytes asked of the drive in each second of work: while the prompt is read and while tokens are made, "
               "computing time included. The dotted line is the highest half second of the last minute."),
        )  # fmt: skip
        self.aside.setText(tr("last 60 s"))
        self.number, self.words = self.add_strong()
        self.line = FilledLine()
        self.caption = quiet()
        self.add(self.line)
        self.add(self.caption)

    def refresh(self, history: RecentTokens, now: float) -> None:
        rate, reads = history.rate(now)
        traffic = history.traffic(now)
        self.number.setText(units.rate(rate))
        self.words.setText(tr("{0} reads/s").format(units.count(reads)))
        self.line.set_values(traffic)
        peak = max(traffic)
        self.caption.setText(tr("peak {0}").format(units.rate(peak)) if peak else tr("nothing read in the last minute"))

    def words_for_it(self) -> str:
        return f"{self.number.text()}, {self.words.text()}, {self.caption.text()}"


class TimeSection(Section):
    PARTS = (
        (QT_TR_NOOP("Flash"), "flash", "io_ms"),
        (QT_TR_NOOP("Memory"), "memory", "memory_ms"),
        (QT_TR_NOOP("Compute"), "compute", "compute_ms"),
    )

    def __init__(self):
        super().__init__(
            tr("Time a token"),
            tr("How long each of the last 60 tokens took, the latest at the right: waiting for flash, keeping the "
               "neuron pool and the window in order, and everything else. The figures are means over these tokens, in "
               "milliseconds."),
        )  # fmt: skip
        self.bars = TokenBars(tuple(colour for _, colour, _ in self.PARTS))
        self.legend = Legend([(tr(title), colour) for title, colour, _ in self.PARTS], columns=len(self.PARTS))
        self.add(self.bars)
        self.add(self.legend)

    def refresh(self, history: RecentTokens) -> None:
        means = history.means()
        fields = [field for _, _, field in self.PARTS]
        self.bars.set_bars([tuple(getattr(token, field) for field in fields) for token in history.tokens])
        self.aside.setText(units.milliseconds(means["total_ms"]) if means else "")
        self.legend.set_values(*(units.number(means[field]) if means else "–" for field in fields))

    def words_for_it(self) -> str:
        return f"{self.aside.text()}: {self.legend.text()}"


class NeuronsSection(Section):
    SHARES = (QT_TR_NOOP("Active"), QT_TR_NOOP("Loaded"), QT_TR_NOOP("In pool"), QT_TR_NOOP("Hit rate"))

    def __init__(self):
        super().__init__(
            tr("Neurons"),
            tr("The share of each layer's neurons that was active, layer by layer from top to bottom, for the last 60 "
               "tokens. Below, as shares of all neurons: active for a token, read from flash for it, held in the "
               "neuron pool. Hit rate: the share of active neurons that was in the pool already. Means over these "
               "tokens."),
        )  # fmt: skip
        self.map = HeatMap()
        self.legend = Legend([(tr(name), "") for name in self.SHARES])
        self.add(self.map)
        self.add(self.legend)

    def refresh(self, history: RecentTokens) -> None:
        tokens = history.tokens
        self.map.set_columns([[active / token.neurons for active in token.active] for token in tokens])
        if not tokens:
            self.aside.clear()
            self.legend.set_values("–", "–", "–", "–")
            return
        layers, means = len(tokens[-1].active), history.means()
        neurons = layers * tokens[-1].neurons
        shares = [means[f"{name}_neurons"] / neurons for name in ("active", "loaded", "resident")]
        self.aside.setText(tr("%n layer(s)", None, layers))
        self.legend.set_values(*(units.percent(share) for share in (*shares, means["hit_rate"])))

    def words_for_it(self) -> str:
        return f"{self.aside.text()}: {self.legend.text()}"


class MonitorPanel(Ringed, QScrollArea):
    """The column at the right of the window. Costs nothing while it is hidden or nothing happens."""

    def __init__(self, host: EngineHost, parent: QWidget | None = None):
        super().__init__(parent)
        self._host = host
        self.memory, self.flash = MemorySection(), FlashSection()
        self.time, self.neurons = TimeSection(), NeuronsSection()
        self.sections = (self.memory, self.flash, self.time, self.neurons)
        column = QWidget()
        column.setBackgroundRole(QPalette.ColorRole.Window)
        layout = QVBoxLayout(column)
        layout.setContentsMargins(18, 16, 18, 16)
        layout.setSpacing(22)
        for section in self.sections:
            layout.addWidget(section)
        layout.addStretch()
        self.setWidget(column)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setBackgroundRole(QPalette.ColorRole.Window)
        self.setFixedWidth(WIDTH)
        self.setAccessibleName(tr("Live panel"))
        self._described = 0.0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        host.state_changed.connect(self._on_change)
        host.gave_back.connect(self._on_change)

    def refresh(self) -> None:
        """Show the host's figures as they are now."""
        now, history = time.monotonic(), self._host.recent_tokens
        if self._host.model:
            self.memory.refresh(self._host.model, history)
        else:
            self.memory.clear()
        self.flash.refresh(history, now)
        self.time.refresh(history)
        self.neurons.refresh(history)
        self._describe(now)
        self._pace(now)

    def as_text(self) -> str:
        """Every value in words, a line a section."""
        return "\n".join(f"{section.accessibleName()}: {section.words_for_it()}" for section in self.sections)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(tr("Copy Values")).triggered.connect(self.copy_values)
        menu.popup(event.globalPos())

    def copy_values(self) -> None:
        """Put every value on the clipboard, as text."""
        QGuiApplication.clipboard().setText(self.as_text())

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def _on_change(self) -> None:
        if self.isVisible():
            self.refresh()

    def _pace(self, now: float) -> None:
        """Quick while an answer comes, slow until its traffic has left the picture and memory is not short, then not at
        all."""
        if self._host.state in (State.ANSWERING, State.STOPPING):
            self._timer.start(BUSY_MS)
        elif self._host.state is State.CLOSED or (self._host.recent_tokens.quiet(now) and not self.memory.pressed):
            self._timer.stop()
        else:
            self._timer.start(IDLE_MS)

    def _describe(self, now: float) -> None:
        if now - self._described >= 1:  # a screen reader is not to be flooded
            self._described = now
            for section in self.sections:
                section.describe(section.words_for_it())
