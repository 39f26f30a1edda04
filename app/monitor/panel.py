"""The live panel: four blocks, refreshed from the host's history while something happens and somebody looks."""

import time
from typing import ClassVar

from PySide6.QtCore import QT_TR_NOOP, QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QContextMenuEvent, QGuiApplication, QHideEvent, QPalette, QShowEvent
from PySide6.QtWidgets import QFrame, QMenu, QScrollArea, QStyle, QVBoxLayout, QWidget

from app.host.engine_host import EngineHost, ModelInfo, State
from app.host.recent_tokens import RecentTokens
from app.monitor.plots import ExpertMap, FilledLine, HeatMap, StackedBar, TokenBars
from app.monitor.section import Legend, Section
from app.widgets import units
from app.widgets.focus import Ringed
from app.widgets.labels import SMALL_FACTOR, ChatLabel, quiet
from app.widgets.language import sentences, tr
from app.widgets.prompt_words import words_of_prompt
from engine.statistics import TokenStatistics
from engine.system import pressure

WIDTH = 304
BUSY_REFRESH_MS = 200  # as quick as figures can be read; each refresh takes time from the engine
FULL_HIT_RATE = 0.9995  # a hit rate that reads as 100 %
TOLD_SHARE = 0.01  # of a model's weights: less that a chat has taken is not worth a word
MOST_COLUMNS = 128  # of the map of experts
IDLE_REFRESH_MS = 1000  # the minute of flash traffic still runs out after an answer


class MemorySection(Section):
    ITEMS = (
        (QT_TR_NOOP("Resident"), "resident", QT_TR_NOOP("Weights that every token needs, such as attention")),
        (QT_TR_NOOP("Neuron pool"), "pool", QT_TR_NOOP("Neurons that were read from flash and are kept")),
        (QT_TR_NOOP("Predictors"), "predictors", QT_TR_NOOP("Small networks that guess which neurons a token needs")),
        (QT_TR_NOOP("KV cache"), "kv_cache", QT_TR_NOOP("What the model remembers of the chats")),
        (QT_TR_NOOP("Workspace"), "workspace", QT_TR_NOOP("Room for intermediate results and for reading")),
        (QT_TR_NOOP("App and libraries"), "app", QT_TR_NOOP("Flashbulb itself: its window, Python and MLX")),
    )

    POOLS: ClassVar[dict[str, tuple[object, object]]] = {  # by the kind of bundle that comes from flash, "" for none
        "neuron": ITEMS[1][::2],
        "expert": (QT_TR_NOOP("Expert pool"), QT_TR_NOOP("Experts that were read from flash and are kept")),
        "block": (QT_TR_NOOP("Weights kept"), QT_TR_NOOP("Weights that were read from flash once, and are kept")),
        "": (QT_TR_NOOP("Weights"), QT_TR_NOOP("The model's other weights, all of which have room in memory")),
    }

    def __init__(self) -> None:
        super().__init__(
            tr("Memory"),
            tr("Memory that this application uses now, measured by the operating system, and the parts that it is made "
               "of. The model's parts are at most as large as planned for its memory budget."),
        )  # fmt: skip
        self.number, self.words = self.add_strong()
        self.bar = StackedBar()
        self.legend = Legend([(tr(str(name)), colour, tr(str(tip))) for name, colour, tip in self.ITEMS])
        self.caption = quiet(kind=ChatLabel)
        self.caption.setWordWrap(True)
        self.moved = quiet(kind=ChatLabel)
        self.moved.setWordWrap(True)
        self.moved.hide()
        self.pressed = False  # whether the system is short of memory
        self.alarm = ChatLabel(colour="error", factor=SMALL_FACTOR)
        self.alarm.setWordWrap(True)
        self.alarm.hide()
        for widget in (self.bar, self.legend, self.caption, self.moved, self.alarm):
            self.add(widget)

    def clear(self) -> None:
        """No model is loaded: nothing is known of one."""
        for label in (self.aside, self.words, self.caption, self.moved):
            label.clear()
        self.moved.hide()
        self.number.setText("–")
        self.bar.set_parts([], 0)
        self.legend.set_values(*("–" for _ in self.ITEMS))

    def refresh(self, model: ModelInfo, history: RecentTokens) -> None:
        used = history.latest.footprint_bytes if history.latest else model.footprint_bytes
        parts = parts_of(used, model, history.latest)
        self.aside.setText(tr("model {0}").format(units.size(model.model_bytes)))
        self.number.setText(units.size(used))
        self.words.setText(tr("used by Flashbulb"))
        self.bar.set_parts(list(parts.items()), used)
        self.legend.rename(1, *(tr(str(words)) for words in self.POOLS[model.streams]))
        there = {name for name in parts if parts[name] or model.planned.get(name)}
        self.legend.set_values(*(units.size(value) if name in there else None for name, value in parts.items()))
        self.caption.setText(self._share(model, used - parts["app"]))
        self._show_moved(model)
        self._show_alarm(model, pressure.memory_pressure())

    def words_for_it(self) -> str:
        alarm = "".join(f". {text}" for text in (self.moved.text(), self.alarm.text()) if text)
        return f"{self.number.text()} {self.words.text()}, {self.caption.text()}: {self.legend.text()}{alarm}"

    def _share(self, model: ModelInfo, used: float) -> str:
        if model.memory_budget:
            return tr("model uses {0} of a budget of {1}").format(units.size(used), units.size(model.memory_budget))
        return tr("model uses {0} of {1} (automatic budget)").format(units.size(used), units.size(model.planned_bytes))

    def _show_moved(self, model: ModelInfo) -> None:
        told = model.taken_bytes > TOLD_SHARE * model.model_bytes
        words = tr("This chat has grown: it takes {0} that weights had.").format(units.size(model.taken_bytes))
        self.moved.setText(words if told else "")
        self.moved.setVisible(told)

    def _show_alarm(self, model: ModelInfo, level: pressure.Pressure) -> None:
        self.pressed = level > pressure.Pressure.NORMAL
        levels = {
            pressure.Pressure.NORMAL: "",
            pressure.Pressure.WARNING: tr("⚠ The system is short of memory."),
            pressure.Pressure.CRITICAL: tr("⚠ The system is critically short of memory."),
        }
        given = ""
        if model.given_bytes:
            given = tr("The model gave back {0} until there is enough again.").format(units.size(model.given_bytes))
        self.alarm.setText(sentences(levels[level], given))
        self.alarm.setVisible(bool(self.alarm.text()))


class FlashSection(Section):
    def __init__(self) -> None:
        super().__init__(
            tr("Flash"),
            tr("Bytes read from the drive a second: while an answer comes, in its last second; afterwards, the mean of "
               "that answer. The line shows the last minute by half seconds, dotted where it was highest."),
        )  # fmt: skip
        self.aside.setText(tr("last 60 s"))
        self.number, self.words = self.add_strong()
        self.line = FilledLine()
        self.caption = quiet(kind=ChatLabel)
        self.add(self.line)
        self.add(self.caption)

    def refresh(self, history: RecentTokens, now: float) -> None:
        (rate, reads), traffic = history.rate(now), history.traffic(now)
        mean, mean_reads = history.answer_rate()
        if rate or not mean:
            self.number.setText(units.rate(rate))
            self.words.setText(tr("{0} reads/s").format(units.count(reads)))
        else:
            self.number.setText(units.rate(mean))
            self.words.setText(tr("{0} reads/s in the last answer").format(units.count(mean_reads)))
        self.line.set_values(traffic)
        peak = max(*traffic, rate, mean) if any(traffic) else rate  # a short answer's mean is no mean of half seconds
        self.caption.setText(tr("peak {0}").format(units.rate(peak)) if peak else tr("nothing read in the last minute"))

    def words_for_it(self) -> str:
        return f"{self.number.text()}, {self.words.text()}, {self.caption.text()}"


class TimeSection(Section):
    PARTS = (
        (QT_TR_NOOP("Flash"), "flash", "io_ms", QT_TR_NOOP("Waiting for the drive")),
        (
            QT_TR_NOOP("Bookkeeping"),
            "memory",
            "memory_ms",
            QT_TR_NOOP("Keeping the pool and the window in order"),
        ),
        (QT_TR_NOOP("Compute"), "compute", "compute_ms", QT_TR_NOOP("Everything else")),
    )

    def __init__(self) -> None:
        super().__init__(
            tr("Time per token"),
            tr("How long each of the last 60 tokens took, the latest at the right: waiting for flash, keeping the "
               "pool and the window in order, and everything else. The figures are means over these tokens."),
        )  # fmt: skip
        self.bars = TokenBars(tuple(colour for _, colour, _, _ in self.PARTS))
        self.legend = Legend([(tr(str(title)), colour, tr(str(tip))) for title, colour, _, tip in self.PARTS])
        self.add(self.bars)
        self.add(self.legend)

    def refresh(self, history: RecentTokens, streams: bool = True) -> None:
        """streams: whether anything comes from flash; else there is nothing to tell apart."""
        means = history.means()
        fields = [field for _, _, field, _ in self.PARTS]
        self.legend.setVisible(streams)
        self.bars.set_bars([tuple(getattr(token, field) for field in fields) for token in history.tokens])
        self.aside.setText(units.milliseconds(means["total_ms"]) if means else "")
        self.legend.set_values(*(units.milliseconds(means[field]) if means else "–" for field in fields))

    def words_for_it(self) -> str:
        return f"{self.aside.text()}: {self.legend.text()}"


class NeuronsSection(Section):
    SHARES = (
        (QT_TR_NOOP("Active"), QT_TR_NOOP("Of all neurons, those that a token uses")),
        (QT_TR_NOOP("Loaded"), QT_TR_NOOP("Of all neurons, those that are read from flash for a token")),
        (QT_TR_NOOP("In pool"), QT_TR_NOOP("Of all neurons, those that are in memory")),
        (QT_TR_NOOP("Hit rate"), QT_TR_NOOP("Of the neurons that a token uses, those that were in memory already")),
    )

    def __init__(self) -> None:
        super().__init__(
            tr("Neurons"),
            tr("The share of each layer's neurons that was active, layer by layer from top to bottom, for the last 60 "
               "tokens. Below, as shares of all neurons: active for a token, read from flash for it, held in the "
               "neuron pool. Hit rate: the share of active neurons that was in the pool already. Means over these "
               "tokens."),
        )  # fmt: skip
        self.map = HeatMap()
        self.scale = quiet(kind=ChatLabel)
        self.scale.setWordWrap(True)
        self.legend = Legend([(tr(str(name)), "", tr(str(tip))) for name, tip in self.SHARES])
        for widget in (self.map, self.scale, self.legend):
            self.add(widget)

    def refresh(self, history: RecentTokens) -> None:
        tokens = [token for token in history.tokens if token.kind == "neuron"]
        columns = [[active / token.bundles for active in token.active] for token in tokens]
        self.map.set_columns(columns)
        if not tokens:
            self.aside.clear()
            self.scale.clear()
            self.legend.set_values("–", "–", "–", "–")
            return
        layers, means = len(tokens[-1].active), history.means()
        neurons = layers * tokens[-1].bundles
        shares = [means[f"{name}_neurons"] / neurons for name in ("active", "loaded", "resident")]
        self.aside.setText(tr("%Ln layer(s)", None, layers))
        highest = max(max(column) for column in columns)
        self.scale.setText(tr("fullest colour: {0} of a layer's neurons").format(units.percent(highest)))
        self.legend.set_values(*(units.percent(share) for share in (*shares, means["hit_rate"])))

    def words_for_it(self) -> str:
        return f"{self.aside.text()}: {self.legend.text()}"


class ExpertsSection(Section):
    """The section that takes the neurons' place for a model of experts."""

    FIGURES = (
        (QT_TR_NOOP("Active"), QT_TR_NOOP("Experts of a layer that a token uses, of all that the layer has")),
        (QT_TR_NOOP("In memory"), QT_TR_NOOP("Experts of a layer that are in memory")),
        (QT_TR_NOOP("Read"), QT_TR_NOOP("Experts of a layer that are read from flash for a token")),
        (QT_TR_NOOP("Hit rate"), QT_TR_NOOP("Of the experts that a token uses, those that were in memory already")),
    )

    def __init__(self) -> None:
        super().__init__(
            tr("Experts"),
            tr("Which experts the last 60 tokens used: the layers from top to bottom, the experts of each from left to "
               "right, the fuller the colour the more often. Below, for a layer: experts that a token uses, in memory, "
               "and read from flash. Hit rate: the share of active experts that was in memory already. Means over "
               "these tokens."),
        )  # fmt: skip
        self.map = ExpertMap()
        self.scale = quiet(kind=ChatLabel)
        self.scale.setWordWrap(True)
        self.legend = Legend([(tr(str(name)), "", tr(str(tip))) for name, tip in self.FIGURES])
        for widget in (self.map, self.scale, self.legend):
            self.add(widget)

    def refresh(self, history: RecentTokens) -> None:
        tokens = [token for token in history.tokens if token.kind == "expert" and token.active]
        if not tokens:
            self.map.set_columns([])
            self.aside.clear()
            self.scale.clear()
            self.legend.set_values(*("–" for _ in self.FIGURES))
            return
        columns = _use_of_experts(tokens)
        self.map.set_columns(columns)
        layers, means = len(tokens[-1].active), history.means()
        active, resident, loaded = (means[f"{name}_experts"] / layers for name in ("active", "resident", "loaded"))
        self.aside.setText(tr("%Ln layer(s)", None, layers))
        highest = max((max(column) for column in columns), default=0.0)
        self.scale.setText(tr("fullest colour: used by {0} of the tokens").format(units.percent(highest)))
        self.legend.set_values(
            tr("{0} of {1}").format(units.count(active), units.count(tokens[-1].bundles)),
            units.count(resident),
            units.decimal(loaded, 1),
            units.percent(means["hit_rate"]),
        )

    def words_for_it(self) -> str:
        return f"{self.aside.text()}: {self.legend.text()}"


def _use_of_experts(tokens: list[TokenStatistics]) -> list[list[float]]:
    """A column for each expert, or for several that are neighbours where a layer has very many; in it, by layer, the
    share of the tokens that used one of them."""
    known = [token for token in tokens if token.experts]
    if not known:
        return []
    width = -(-known[-1].bundles // MOST_COLUMNS)
    columns = [[0.0] * len(known[-1].experts) for _ in range(-(-known[-1].bundles // width))]
    for token in known:
        for layer, ids in enumerate(token.experts):
            for column in {expert // width for expert in ids}:
                columns[column][layer] += 1 / len(known)
    return columns


class MonitorPanel(Ringed, QScrollArea):
    """The column at the right of the window. Costs nothing while it is hidden or nothing happens."""

    def __init__(self, host: EngineHost, parent: QWidget | None = None):
        super().__init__(parent)
        self._host = host
        self.memory, self.flash = MemorySection(), FlashSection()
        self.time, self.neurons, self.experts = TimeSection(), NeuronsSection(), ExpertsSection()
        self.sections = (self.memory, self.flash, self.time, self.neurons, self.experts)
        self.experts.hide()
        self.sentence = ChatLabel()
        self.sentence.setWordWrap(True)
        column = QWidget()
        column.setBackgroundRole(QPalette.ColorRole.Window)
        layout = QVBoxLayout(column)
        layout.setContentsMargins(18, 16, 18, 16)
        layout.setSpacing(22)
        layout.addWidget(self.sentence)
        for section in self.sections:
            layout.addWidget(section)
        layout.addStretch()
        self._column = column
        self.setWidget(column)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setBackgroundRole(QPalette.ColorRole.Window)
        self._fit()
        self.verticalScrollBar().rangeChanged.connect(self._fit)
        self.setAccessibleName(tr("Live panel"))
        self._described = 0.0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self.refresh)
        host.state_changed.connect(self._on_change)
        host.memory_changed.connect(self._on_change)

    def refresh(self) -> None:
        """Show the host's figures as they are now."""
        now, history = time.monotonic(), self._host.recent_tokens
        if self._host.model:
            self.memory.refresh(self._host.model, history)
        else:
            self.memory.clear()
        streams = self._host.model.streams if self._host.model else "neuron"
        self.flash.setVisible(bool(streams))
        self.flash.refresh(history, now)
        self.time.refresh(history, bool(streams))
        self.experts.refresh(history)
        self.neurons.setVisible(streams == "neuron")
        self.experts.setVisible(streams == "expert")
        self.neurons.refresh(history)
        prompt = self._host.prompt_progress
        self.sentence.setText(words_of_prompt(prompt) if prompt else in_a_sentence(self._host.model, history))
        self._describe(now)
        self._pace(now)

    def as_text(self) -> str:
        """Every value in words, a line a section."""
        return "\n".join(f"{section.accessibleName()}: {section.words_for_it()}" for section in self.sections
                         if not section.isHidden())  # fmt: skip

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
        self._fit()

    def hideEvent(self, event: QHideEvent) -> None:
        self._timer.stop()
        super().hideEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self._fit()  # only now is known how wide the new figures are, but while this is hidden
        return super().eventFilter(watched, event)

    def _on_change(self) -> None:
        if self.isVisible():
            self.refresh()

    def follow_text_size(self) -> None:
        """The size of the text has changed: hidden, how wide this has to be is known once it is shown."""
        if not self.isVisible():
            self.setFixedWidth(WIDTH)

    def _fit(self) -> None:
        """As wide as what is in it, and the scroll bar beside that where there is one: nothing is ever cut off."""
        bar = self.verticalScrollBar()
        shown = bar.maximum() > bar.minimum() and not bar.style().styleHint(
            QStyle.StyleHint.SH_ScrollBar_Transient, None, bar
        )
        width = max(WIDTH, self._column.minimumSizeHint().width()) + (bar.sizeHint().width() if shown else 0)
        if width != self.minimumWidth():
            self.setFixedWidth(width)

    def _pace(self, now: float) -> None:
        """Quick while an answer comes, slow until its traffic has left the picture and memory is not short, then not at
        all."""
        if self._host.state in (State.ANSWERING, State.STOPPING):
            self._timer.start(BUSY_REFRESH_MS)
        elif self._host.state is State.CLOSED or (self._host.recent_tokens.quiet(now) and not self.memory.pressed):
            self._timer.stop()
        else:
            self._timer.start(IDLE_REFRESH_MS)

    def _describe(self, now: float) -> None:
        if now - self._described >= 1:  # a screen reader is not to be flooded
            self._described = now
            for section in self.sections:
                section.describe(section.words_for_it())


def parts_of(used: float, model: ModelInfo, latest: TokenStatistics | None) -> dict[str, float]:
    """Bytes by part, in the order of the bar; they sum to `used`, which the operating system measured.

    Weights that are always there are there. Of the pool, as much as it holds. The conversation has its room once a
    token was computed. What else has come since the model was loaded is the workspace, up to what is planned for it;
    the rest is the application's, which may be less than it was then.
    """
    planned = dict(model.planned)
    planned["kv_cache"] = planned.get("kv_cache", 0) + planned.get("kept_contexts", 0)
    planned["resident"] = planned.get("resident", 0) + planned.get("draft_model", 0)
    fixed = {name: planned.get(name, 0) for name in ("resident", "predictors", "exact_selection")}
    loaded = sum(fixed.values()) + model.filled_bytes
    application = max(0.0, model.footprint_bytes - loaded)  # before anything was asked
    pool = _held_bytes(model, latest)
    parts = {"resident": fixed["resident"], "pool": pool, "predictors": sum(fixed.values()) - fixed["resident"]}
    came = max(0.0, used - application - sum(parts.values()))
    parts["kv_cache"] = min(
        planned.get("kv_cache", 0), came if latest is None else max(0.0, used - sum(parts.values()))
    )
    parts["workspace"] = min(planned.get("workspace", 0), max(0.0, came - parts["kv_cache"]))
    whole = sum(parts.values())
    if whole > used:  # some of it was swapped out
        parts = {name: value * used / whole for name, value in parts.items()}
    return parts | {"app": used - sum(parts.values())}


def _held_bytes(model: ModelInfo, latest: TokenStatistics | None) -> float:
    """Bytes of the bundles that the pool holds at present."""
    if model.streams not in ("neuron", "expert"):  # blocks stay, once the first token has passed
        return model.planned.get("pool", 0)
    if latest is None or not latest.resident:
        return min(model.filled_bytes, model.planned.get("pool", 0))
    share = sum(latest.resident) / max(1, len(latest.resident) * latest.bundles)
    return min(share * model.flash_bytes, model.planned.get("pool", 0))


def _of_experts(token: TokenStatistics, means: dict[str, float]) -> str:
    active = units.count(means["active_experts"] / max(1, len(token.active)))
    if means["hit_rate"] > FULL_HIT_RATE:
        return tr("Each word uses {0} of {1} experts a layer; all of those were already in memory.").format(
            active, units.count(token.bundles)
        )
    return tr("Each word uses {0} of {1} experts a layer; {2} of those were already in memory.").format(
        active, units.count(token.bundles), units.percent(means["hit_rate"])
    )


def _of_blocks(means: dict[str, float]) -> str:
    if not means["bytes_read"]:
        return tr("Each word uses the whole model; all of it is in memory.")
    return tr("Each word uses the whole model; {0} of it are read from flash each time.").format(
        units.size(means["bytes_read"])
    )


def in_a_sentence(model: ModelInfo | None, history: RecentTokens) -> str:
    """The figures below, said plainly."""
    if model is None:
        return tr("No model is loaded.")
    tokens, means = history.tokens, history.means()
    if not tokens:
        return tr("While the model answers, you see here what it reads and holds.")
    if not model.streams:
        return tr("Each word uses the whole model; all of it is in memory.")
    if model.streams == "expert":
        return _of_experts(tokens[-1], means)
    if model.streams == "block":
        return _of_blocks(means)
    if model.settings.selection.streams_all:
        return tr("Each word uses the whole model; {0} of it was already in memory.").format(
            units.percent(means["hit_rate"])
        )
    active = means["active_neurons"] / (len(tokens[-1].active) * tokens[-1].bundles)
    if means["hit_rate"] > FULL_HIT_RATE:
        return tr("Each word uses {0} of the model's neurons; all of those were already in memory.").format(
            units.percent(active)
        )
    return tr("Each word uses {0} of the model's neurons; {1} of those were already in memory.").format(
        units.percent(active), units.percent(means["hit_rate"])
    )
