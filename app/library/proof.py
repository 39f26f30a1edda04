"""“Prove it”: a model on this machine with all neurons and with those selected, and what of its answers differs."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Qt
from PySide6.QtGui import QFont
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QLayout,
    QVBoxLayout,
    QWidget,
)

from app.host.engine_host import EngineHost, State
from app.widgets import units
from app.widgets.dialogs import plain_buttons
from app.widgets.labels import Label, quiet
from app.widgets.language import sentences
from app.widgets.progress import ThinBar

if TYPE_CHECKING:  # the engine takes a while to import
    from engine.inference.proof import Comparison, Cost, Proof
from engine.settings import Settings

WIDTH, MARGIN = 600, 24  # of the text, and around it
FREE_STATES = (State.EMPTY, State.READY, State.FAILED)


class ProofWindow(QDialog):
    """Begins at once, and shows what was found. Closing it ends the proof."""

    def __init__(self, host: EngineHost, title: str, model: str, settings: Settings, parent: QWidget | None = None):
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Prove {0}").format(title))
        self._host, self._model, self._settings = host, model, settings
        self._running = False
        self.heading = Label(weight=QFont.Weight.DemiBold, factor=1.15)
        self.words = Label()
        self.words.setWordWrap(True)
        self.bar = ThinBar(self.tr("Progress of the proof"))
        self.table = QGridLayout()
        self.table.setHorizontalSpacing(24)
        self.table.setVerticalSpacing(6)
        self.answers = quiet()
        self.answers.setWordWrap(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(MARGIN, 20, MARGIN, 18)
        layout.setSizeConstraint(QLayout.SizeConstraint.SetFixedSize)  # as high as what it says
        layout.setSpacing(12)
        layout.addWidget(self.heading)
        layout.addWidget(self.words)
        layout.addWidget(self.bar)
        layout.addLayout(self.table)
        layout.addWidget(self.answers)
        layout.addStretch()
        layout.addWidget(self.buttons)
        self._begin()
        plain_buttons(self)
        self.open()

    def done(self, result: int) -> None:
        """Cancel what runs, however the window is closed."""
        if self._running:
            self._running = False
            self._host.cancel_proof()
        super().done(result)

    # ------------------------------------------------------------------ what the host reports
    def _begin(self) -> None:
        if self._host.state not in FREE_STATES:
            self._end(self.tr("The model is at work"), self.tr("Prove it when the answer is written."))
            return
        self._running = True
        self.heading.setText(self.tr("The same answers?"))
        _say(self.words,
            self.tr("The model answers a few prompts with nothing left out. Then it reads the same texts as it is "
                    "used, streamed from flash. The chat waits, and has its model back afterwards.")
        )  # fmt: skip
        self._host.proving.connect(self._on_proving)
        self._host.proved.connect(self._on_proved)
        self._host.proof_failed.connect(self._on_failed)
        self._host.prove(self._model, self._settings)

    def _on_proving(self, share: float, run: str) -> None:
        if not self._running:
            return
        names = {
            "whole": self.tr("Answering with everything in memory…"),
            "streamed": self.tr("Reading with experts from flash…"),
            "dense": self.tr("Answering with all neurons…"),
            "exact": self.tr("Reading with exact selection…"),
            "predictor": self.tr("Reading with predicted selection…"),
        }
        self.bar.setValue(round(1000 * share))
        _say(self.answers, names.get(run, ""))

    def _on_failed(self, message: str, _details: str) -> None:
        if self._running:
            self._end(self.tr("The comparison failed"), message or self.tr("It was stopped."))

    def _on_proved(self, proof: "Proof") -> None:
        if not self._running:
            return
        exact, predicted = proof.exact, proof.predicted
        heading = self.tr("Streaming gives the same answers") if exact.agrees else self.tr("The answers differ")
        count = units.whole(proof.tokens)
        if predicted is None:
            self._end(heading, self._verdict_of_experts(proof, count))
        else:
            self._end(heading, sentences(self._verdict(exact, count), self._verdict_of_prediction(predicted, proof)))
        self._fill(proof)
        _say(self.answers, "\n".join(f"“{prompt}” – {answer}" for prompt, answer in proof.answers))

    def _verdict_of_experts(self, proof: "Proof", count: str) -> str:
        streamed = proof.exact
        if not streamed.agrees:
            return self.tr("Streamed, the model chooses the same token at {0} of {1} places. That should not be: "
                           "download the model again.").format(units.percent(streamed.same), count)  # fmt: skip
        if proof.all_resident:
            return self.tr("Streamed, the model chooses the same token as with everything in memory at each of {0} "
                           "places; scores differ by rounding only.").format(count)  # fmt: skip
        return self.tr("With a small and with a large memory budget, the model chooses the same token at each of {0} "
                       "places; scores differ by rounding only.").format(count)  # fmt: skip

    def _verdict(self, exact: "Comparison", count: str) -> str:
        if exact.agrees:
            return self.tr("Exact selection chooses the same token as all neurons at each of {0} places; scores differ "
                           "by rounding only.").format(count)  # fmt: skip
        return self.tr("Exact selection chooses the same token as all neurons at {0} of {1} places. That should not "
                       "be: verify the model's files.").format(units.percent(exact.same), count)  # fmt: skip

    def _verdict_of_prediction(self, predicted: "Comparison", proof: "Proof") -> str:
        loss = predicted.perplexity / proof.perplexity - 1
        return self.tr("Predicted selection chooses the same at {0} of them, with {1} perplexity.").format(
            units.percent(predicted.same), units.signed_percent(loss)
        )

    def _fill(self, proof: "Proof") -> None:
        names = (self.tr("Same token"), self.tr("Largest difference"), self.tr("Perplexity"))
        costs = (self.tr("Read per token"), self.tr("Time per token"), self.tr("Memory"))
        larger = self.tr("All in memory") if proof.all_resident else self.tr("Larger budget")
        whole, exact = (self.tr("All neurons"), self.tr("Exact")) if proof.predicted else (larger, self.tr("Streamed"))
        rows = [
            ("", *names, *costs),
            (whole, "", "", units.decimal(proof.perplexity, 3), *self._cost(proof.cost)),
            (exact, *_figures(proof.exact), *self._cost(proof.exact.cost)),
        ]
        if proof.predicted:
            rows.append((self.tr("Predicted"), *_figures(proof.predicted), *self._cost(proof.predicted.cost)))
        for y, row in enumerate(rows):
            for x, text in enumerate(row):
                label = quiet(text) if y == 0 or x == 0 else Label(text)
                side = Qt.AlignmentFlag.AlignRight if x else Qt.AlignmentFlag.AlignLeft
                self.table.addWidget(label, y, x, side)

    def _cost(self, cost: "Cost") -> tuple[str, str, str]:
        """A budget that holds the whole model reads nothing when nothing is selected."""
        read = units.size(cost.bytes_read) if cost.bytes_read else self.tr("all in memory")
        return read, units.milliseconds(1000 * cost.seconds), units.size(cost.memory_bytes)

    def _end(self, heading: str, words: str) -> None:
        self._running = False
        self.heading.setText(heading)
        _say(self.words, words)
        _say(self.answers, "")
        self.bar.hide()
        self.buttons.setStandardButtons(QDialogButtonBox.StandardButton.Close)
        plain_buttons(self)


def _figures(found: "Comparison") -> tuple[str, str, str]:
    difference = units.small_percent(found.difference)
    return units.percent(found.same), difference, units.decimal(found.perplexity, 3)


def _say(label: QLabel, text: str) -> None:
    """Show a text of several lines, all of it."""
    label.setFixedWidth(WIDTH)
    label.setText(text)
    label.setFixedHeight(max(0, label.heightForWidth(WIDTH)))  # which is -1 for no text
