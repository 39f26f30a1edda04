"""Measure how the window feels: how late its event loop is, what an update costs, what it takes when nothing happens.

    uv run python packaging/tools/responsiveness.py [NAME ...] [--json]

Prints a table, each figure with its aim; all measurements, or those that are named. Each is a process of its own with
the real window, the real starter model and a folder of data of its own. It wants a machine that does nothing else.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent, QEventLoop, QObject, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

PATIENCE_S = 120
TICK_MS = 5  # between two looks at the event loop
MAX_LATE_P99_MS, MAX_LATE_MS = 16, 50  # ms
STARTS = 5
IDLE_S = 10
STREAM_S = 30  # of answers
ANSWERS, SETTLING_ANSWERS = 50, 10  # answers, and those after which memory should have settled
ROUNDS, ROUND_S = 15, 2  # of reading with and without a window
WHEEL_NOTCH = 120  # a notch
QUESTIONS = ("What do you like to do on weekends?", "I just got a puppy.", "Tell me about the place where you live.")
PROSE = "The pool keeps the neurons that any of the **last tokens** used; what is missing is read from flash.\n\n"
LIST = "- one neuron's up row and its down column, side by side\n- a window of `5` tokens\n"
CODE = "    for neuron in missing:  # in order of their offsets\n        pool.admit(neuron)\n"
TABLE = "| layer | active | loaded |\n| --- | --- | --- |\n" + "| 3 | 212 | 17 |\n" * 4 + "\n"
LONG_CELL = "a neuron's **up row** and its down column, side by side in one `bundle`"
LENGTHS = (100, 1_000, 5_000)  # words
UPDATES = 200  # at each length
REASONING_TOKENS, FRAME_TOKENS, REASONING_ROUNDS = 4000, 5, 2
FRAMES = ("an answer", "folded reasoning", "unfolded reasoning")


def rows_of(*cells: str) -> tuple[str, str]:
    """A table's head, and a row of it."""
    head = "".join(f"| {name} " for name in ("layer", "active", "loaded", *"abcdefgh")[: len(cells)])
    return f"{head}|\n{'| --- ' * len(cells)}|\n", "".join(f"| {cell} " for cell in cells) + "|\n"


KINDS = {"prose": ("", PROSE), "one paragraph": ("", PROSE.strip() + " "), "a list": ("", LIST),
         "code": ("```python\n", CODE), "a table of 3 columns": rows_of("4", "190", "12"),
         "a table of 8 columns": rows_of(*map(str, range(100, 108))),
         "a table of 3 long columns": rows_of("4", LONG_CELL, LONG_CELL),
         "a table of 8 long columns": rows_of(*[LONG_CELL] * 8)}  # fmt: skip
CONVERSATIONS = [1000, 400, *[10] * 198]  # messages of each


@dataclass(frozen=True)
class Figure:
    """A measured value. aim: at most this; None where there is none."""

    what: str
    value: float
    unit: str
    aim: float | None = None


class Lateness(QObject):
    """The lateness of the event loop at a timer that is due every few milliseconds."""

    def __init__(self):
        super().__init__()
        self.late_ms: list[float] = []
        self._due = 0.0
        self._timer = QTimer(self, interval=TICK_MS, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)

    def __enter__(self) -> "Lateness":
        self._due = time.perf_counter() + TICK_MS / 1e3
        self._timer.start()
        return self

    def __exit__(self, *_) -> None:
        self._timer.stop()

    def figures(self, when: str) -> list[Figure]:
        return spread(f"event loop late, {when}", self.late_ms)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.late_ms.append(max(0.0, 1e3 * (now - self._due)))
        self._due = now + TICK_MS / 1e3


def spread(what: str, values_ms: list[float], p99: float = MAX_LATE_P99_MS, worst: float = MAX_LATE_MS) -> list[Figure]:
    cuts = statistics.quantiles(values_ms, n=100, method="inclusive")
    parts = (("p50", cuts[49], None), ("p99", cuts[98], p99), ("worst", max(values_ms), worst))
    return [Figure(f"{what}, {name}", value, "ms", aim) for name, value, aim in parts]


def spin(seconds: float) -> None:
    loop = QEventLoop()
    QTimer.singleShot(round(1e3 * seconds), loop.quit)
    loop.exec()


def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until something is so."""
    loop, ends = QEventLoop(), time.monotonic() + PATIENCE_S
    timer = QTimer(interval=2)
    timer.timeout.connect(lambda: (condition() or time.monotonic() > ends) and loop.quit())
    timer.start()
    loop.exec()
    if not condition():
        sys.exit("the window did not get that far")


def settle() -> float:
    """Lay out and paint what is due, now; returns the milliseconds that it took."""
    began = time.perf_counter()
    QApplication.sendPostedEvents()
    QApplication.processEvents(QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
    return 1e3 * (time.perf_counter() - began)


@contextmanager
def opened(folder: Path, *, loaded: bool = True) -> Iterator:
    """The window as the application makes it, shown, its model loaded."""
    import engine
    from app.__main__ import SWITCH_INTERVAL_S
    from app.host.engine_host import EngineHost, State
    from app.window import MainWindow

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    window = MainWindow(EngineHost(engine), "starter", folder)
    window.show()
    window.start()
    if loaded:
        until(lambda: window.host.state is State.READY)
        spin(0.3)
    yield window
    window.quit()


def answers(window, count: int | None = None, seconds: float = PATIENCE_S) -> Iterator[None]:
    """Ask until there are so many answers, or for so long; now and then in a new chat."""
    from app.host.engine_host import State

    ends, number = time.monotonic() + seconds, 0
    while time.monotonic() < ends and number != count:
        if number % 5 == 0:
            window.new_chat.trigger()
        window.chat.send(QUESTIONS[number % len(QUESTIONS)])
        until(lambda: window.host.state is State.READY)
        number += 1
        yield


def keep(folder: Path, conversations: list[int]) -> None:
    """Write conversations into the folder of data, the latest first, each of so many messages."""
    from app.conversations.conversation import Conversation
    from app.conversations.store import FILE, ConversationStore

    store = ConversationStore(folder / FILE)
    for number, messages in enumerate(conversations):
        conversation, parent, tree = Conversation(), None, []
        for turn in range(messages // 2):
            question, answer = conversation.ask(f"{QUESTIONS[turn % len(QUESTIONS)]} ({number}, {turn})", parent)
            answer.text = (PROSE + LIST, PROSE * 2, PROSE + "```python\n" + CODE + "```\n", TABLE + PROSE)[turn % 4]
            answer.finish, parent = "stop", answer.id
            tree += [question, answer]
        conversation.updated = time.time() - 3600 * number
        store.save(conversation, tree)
    store.close()


# ---------------------------------------------------------------------------- what is measured
def start(folder: Path) -> list[Figure]:
    """From the start of the process until the window is painted, and the event loop from there to a loaded model."""
    usable, late = [], []
    for number in range(STARTS):
        command = [sys.executable, __file__, "--child", "one_start", "--folder", str(folder / str(number))]
        began = time.time()
        process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        moment, lateness = json.loads(process.stdout.splitlines()[-1])
        usable.append(1e3 * (moment - began))
        late.append(lateness)
    return [
        Figure("from the start to a painted window", statistics.median(usable), "ms", 1000),
        Figure(
            "event loop late, while the engine is imported and the model loaded, worst", max(late), "ms", MAX_LATE_MS
        ),
    ]


def one_start(folder: Path) -> None:
    """One start of `flashbulb`, until the model is loaded."""
    from app import __main__ as application
    from app.window import MainWindow

    began = MainWindow.start
    watches = []

    def start_watched(window: MainWindow) -> None:
        watches.append(FirstPainting(window))
        began(window)

    MainWindow.start = start_watched
    application.main(["--data-dir", str(folder)])
    print(json.dumps((watches[0].moment, max(watches[0].lateness.late_ms))))


class FirstPainting(QObject):
    """Notes when a window can be used: it was painted, and the next event was handled."""

    def __init__(self, window):
        super().__init__(window)
        self.moment, self.lateness, self._window = 0.0, Lateness(), window
        window.chat.composer.installEventFilter(self)
        window.host.loaded.connect(self._end)

    def eventFilter(self, _watched, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and not self.moment:
            self.moment = time.time()
            QTimer.singleShot(0, self._begin)
        return False

    def _begin(self) -> None:
        self.moment = time.time()
        self.lateness.__enter__()

    def _end(self) -> None:
        self.lateness.__exit__()
        QTimer.singleShot(0, self._window.quit)


def idle(folder: Path) -> list[Figure]:
    """Processor time of the whole process while nobody does anything."""
    with opened(folder) as window:
        found = []
        for shown in (True, False):
            window.panel.setChecked(shown)
            spin(1)
            began = time.process_time()
            spin(IDLE_S)
            share = 100 * (time.process_time() - began) / IDLE_S
            found.append(Figure(f"processor while idle, panel {'shown' if shown else 'hidden'}", share, "%", 0.5))
    return found


def stream(folder: Path) -> list[Figure]:
    """The event loop while answers stream in and the live panel moves."""
    with opened(folder) as window, Lateness() as lateness:
        for _ in answers(window, seconds=STREAM_S):
            pass
    return lateness.figures("answering, panel open")


def update(folder: Path) -> list[Figure]:
    """One update of an answer: take a piece of text, lay out, paint."""
    found = []
    with opened(folder) as window:
        for kind, (head, text) in KINDS.items():
            window.new_chat.trigger()
            conversation = window.chat.conversation
            _, answer = conversation.ask("Go on", None)
            window.chat.show_conversation(conversation)
            window.chat._show_path()
            widget = window.chat.transcript.widget_of(answer)
            widget.append(head)
            for words in LENGTHS:
                while len(widget.text.split()) < words:
                    widget.append(text * 10)
                    settle()
                times = [_time_of_update(widget, piece) for piece in _pieces(text)]
                found.append(Figure(f"update of {kind} at {words:,} words, median", statistics.median(times), "ms", 8))
                found.append(Figure(f"update of {kind} at {words:,} words, worst", max(times), "ms", 8))
            conversation.messages.clear()
    return found


def reasoning(folder: Path) -> list[Figure]:
    """One frame of a long block of reasoning, folded and unfolded, against one of an answer of the same words."""
    with opened(folder) as window:
        took: dict[str, list[float]] = {}
        for round_ in range(2 * REASONING_ROUNDS):
            for way in FRAMES if round_ % 2 else FRAMES[::-1]:
                took.setdefault(way, []).extend(_frames(window, way))
    of_answer = statistics.median(took["an answer"])
    found = [Figure(f"frame of {way}, median", statistics.median(times), "ms", 8) for way, times in took.items()]
    ratios = [(way, statistics.median(times) / of_answer) for way, times in took.items() if way != "an answer"]
    return found + [Figure(f"frame of {way}, against an answer's", ratio, "times", 1.1) for way, ratio in ratios]


def _frames(window, way: str) -> list[float]:
    """Milliseconds of each frame while so many tokens come."""
    window.new_chat.trigger()
    conversation = window.chat.conversation
    _, answer = conversation.ask("Go on", None)
    window.chat.show_conversation(conversation)
    window.chat._show_path()
    widget = window.chat.transcript.widget_of(answer)
    append = widget.append if way == "an answer" else widget.append_reasoning
    append("So, ")
    if way == "unfolded reasoning":
        widget.reasoning.unfold()
    settle()
    times = []
    for number in range(REASONING_TOKENS // FRAME_TOKENS):
        began = time.perf_counter()
        append(PROSE if number % 20 == 19 else " and what the user asks")
        settle()
        times.append(1e3 * (time.perf_counter() - began))
    conversation.messages.clear()
    return times


def _pieces(text: str) -> list[str]:
    """A text again and again, as it comes from the engine between two drains."""
    text *= math.ceil(8 * UPDATES / len(text))
    return [text[i : i + 8] for i in range(0, len(text), 8)]


def _time_of_update(widget: QWidget, piece: str) -> float:
    began = time.perf_counter()
    widget.append(piece)
    settle()
    return 1e3 * (time.perf_counter() - began)


def many(folder: Path) -> list[Figure]:
    """Long conversations, and many of them."""
    keep(folder, CONVERSATIONS)
    found = []
    with opened(folder) as window:
        until(lambda: len(window.sidebar.model.heads()) == len(CONVERSATIONS))
        for place, messages in reversed(list(enumerate(CONVERSATIONS[:2]))):
            window.new_chat.trigger()
            spin(0.2)
            found.append(Figure(f"opening {messages:,} messages", _time_to_open(window, place), "ms", 500))
        found += spread("a notch of the wheel, 1,000 messages", _scroll(window.chat.transcript.viewport(), 400))
        found += spread("a notch of the wheel, 200 conversations", _scroll(window.sidebar.list.viewport(), 100, -1))
        found += _search(window)
    return found


def _time_to_open(window, place: int) -> float:
    """From the click to the painted end of the conversation."""
    id_ = window.sidebar.model.heads()[place].id
    began = time.perf_counter()
    window.sidebar.open_number(place)
    while window.chat.conversation.id != id_:
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
    settle()
    settle()  # what the first layout has asked for
    return 1e3 * (time.perf_counter() - began)


def _scroll(viewport: QWidget, notches: int, direction: int = 1) -> list[float]:
    times = []
    for _ in range(notches):
        began = time.perf_counter()
        at = QPointF(viewport.rect().center())
        event = QWheelEvent(at, viewport.mapToGlobal(at), QPoint(), QPoint(0, direction * WHEEL_NOTCH),
                            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
                            False)  # fmt: skip
        QApplication.sendEvent(viewport, event)
        settle()
        times.append(1e3 * (time.perf_counter() - began))
    return times


def _search(window) -> list[Figure]:
    field, model = window.sidebar.field, window.sidebar.model
    with Lateness() as lateness:
        QTest.keyClicks(field, "weekends")
        began = time.perf_counter()
        until(lambda: bool(model.rowCount()) and model.index(0).data().endswith("conversations"))
        took = 1e3 * (time.perf_counter() - began)
    return [Figure("search, from the last key to what was found", took, "ms", 500), *lateness.figures("searching")]


def memory(folder: Path) -> list[Figure]:
    """The process's memory while it answers again and again."""
    from engine.system.footprint import footprint

    taken = []
    with opened(folder) as window:
        for _ in answers(window, ANSWERS, seconds=10 * PATIENCE_S):
            taken.append(footprint() / 1e6)
    growth = statistics.mean(taken[-5:]) - statistics.mean(taken[SETTLING_ANSWERS - 5 : SETTLING_ANSWERS])
    return [
        Figure(f"memory after {SETTLING_ANSWERS} answers", taken[SETTLING_ANSWERS - 1], "MB"),
        Figure(f"memory after {ANSWERS} answers", taken[-1], "MB"),
        Figure(f"growth from answer {SETTLING_ANSWERS} to {ANSWERS}", growth, "MB", 5),
    ]


def reader(folder: Path) -> list[Figure]:
    """Bundles read a second with the window open and painting, against without."""
    shares, rates = [], []
    with opened(folder) as window:
        for _ in answers(window, 1):
            pass
        reading = Reading()
        painting = Painting(window)
        for _ in range(ROUNDS):
            window.hide()
            quiet = reading.run(lambda: time.sleep(ROUND_S))
            window.show()
            spin(0.3)
            with painting:
                busy = reading.run(lambda: spin(ROUND_S))
            shares.append(100 * (1 - busy / quiet))
            rates.append(quiet / 1e6)
        reading.close()
    return [
        Figure("reading without a window", statistics.median(rates), "MB/s"),
        Figure("reading is slower with the window painting", statistics.median(shares), "%", 5),
    ]


class Reading:
    """A thread that reads batches of the starter's bundles, as decoding does."""

    def __init__(self):
        import numpy as np

        from engine.flash.native_reader import NativeReader

        path = Path(__file__).parents[2] / "resources" / "starter" / "model" / "bundles.safetensors"
        self._length, batch = 1024, 64
        self._reader = NativeReader(threads=8)
        self._file = self._reader.open(path)
        self._rows = np.zeros((batch, self._length), np.uint8)
        self._reader.register(self._rows)
        blocks = np.random.default_rng(0).integers(16, path.stat().st_size // self._length, (1000, batch))
        self._batches = np.sort(blocks, axis=1) * self._length
        self._places = np.arange(batch)

    def run(self, meanwhile: Callable[[], None]) -> float:
        """Bytes a second while something else happens."""
        ended, read = threading.Event(), [0]

        def work() -> None:
            number = 0
            while not ended.is_set():
                offsets = self._batches[number % len(self._batches)]
                self._reader.submit(self._file, offsets, self._length, self._rows, self._places).wait()
                read[0] += offsets.size * self._length
                number += 1

        thread = threading.Thread(target=work)
        began = time.perf_counter()
        thread.start()
        meanwhile()
        seconds = time.perf_counter() - began
        ended.set()
        thread.join()
        return read[0] / seconds

    def close(self) -> None:
        self._file.close()
        self._reader.close()


class Painting(QObject):
    """The window's painting while an answer comes: text and figures, at their pace, without an engine."""

    def __init__(self, window):
        super().__init__(window)
        from app.host.engine_host import DRAIN_MS
        from app.monitor.panel import BUSY_REFRESH_MS

        self._window = window
        self._text = QTimer(self, interval=DRAIN_MS)
        self._text.timeout.connect(self._append)
        self._figures = QTimer(self, interval=BUSY_REFRESH_MS)
        self._figures.timeout.connect(window.monitor.refresh)

    def __enter__(self) -> None:
        self._text.start()
        self._figures.start()

    def __exit__(self, *_) -> None:
        self._text.stop()
        self._figures.stop()

    def _append(self) -> None:
        history = self._window.host.recent_tokens
        history.add(time.monotonic(), history.latest)
        self._window.chat.transcript.messages()[-1].append("and then some more ")


MEASUREMENTS = {m.__name__: m for m in (start, idle, stream, update, reasoning, many, memory, reader)}


# ---------------------------------------------------------------------------- the command
def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(MEASUREMENTS)}; all by default")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "one_start":
        one_start(options.folder)
        return 0
    if options.child:
        measure_here(options.child)
        return 0
    if unknown := set(options.names) - set(MEASUREMENTS):
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    figures = [f for name in options.names or MEASUREMENTS for f in measure(name)]
    print(json.dumps([asdict(f) for f in figures], indent=1) if options.json else table(figures))
    return int(any(f.aim is not None and f.value > f.aim for f in figures))


def measure(name: str) -> list[Figure]:
    """In a process of its own."""
    process = subprocess.run([sys.executable, __file__, "--child", name], stdout=subprocess.PIPE, text=True, check=True)
    return [Figure(**fields) for fields in json.loads(process.stdout.splitlines()[-1])]


def measure_here(name: str) -> None:
    with TemporaryDirectory() as folder:
        if name != "start":
            application = QApplication([])
            application.setQuitOnLastWindowClosed(False)
        figures = MEASUREMENTS[name](Path(folder))
    print(json.dumps([asdict(f) for f in figures]))


def table(figures: list[Figure]) -> str:
    """A line a figure, as Markdown."""
    lines = ["| | measured | aim |", "| --- | --- | --- |"]
    for f in figures:
        aim = "" if f.aim is None else f"{f.aim:g} {f.unit}{'' if f.value <= f.aim else ' (missed)'}"
        lines.append(f"| {f.what} | {f.value:.1f} {f.unit} | {aim} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
