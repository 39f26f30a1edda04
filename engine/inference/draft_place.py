"""The place of a draft model beside a large one: it is loaded there, gives its room back, and comes again."""

import logging
from time import perf_counter

import mlx.core as mx

from engine.errors import FlashbulbError
from engine.inference.draft_choice import DraftSource
from engine.inference.draft_model import DraftModel
from engine.inference.drafts import Drafts
from engine.inference.memory import HeldMemory
from engine.planning.memory import Planner

log = logging.getLogger(__name__)


class DraftPlace:
    """Held by a draft model as long as there is room and it pays. Once it has gone it is loaded again between the first
    tokens of a later answer, where there is room and the account of drafts allows that: it may be of more use then."""

    def __init__(self, source: DraftSource | None, memory: HeldMemory):
        """source: of the draft model; None for none. memory: planned for it."""
        self._source, self._memory = source, memory
        self._draft: DraftModel | None = None
        self._seconds = 0.0  # that loading it took
        self._answers = 0  # that had begun when it was last thought of

    def fill(self, must: bool) -> DraftModel | None:
        """Load it, the first time; None where one fails that need not be there. Raises what loading does."""
        try:
            self._draft = self._loaded(self._source) if self._source else None
        except FlashbulbError as error:
            if must or self._source is None:
                raise
            log.warning("%s does not draft: %s", self._source.name, error)
            self._source = None
        return self._draft

    @property
    def model(self) -> DraftModel | None:
        """The model that is there; None for none, or once it has given its room back."""
        return self._draft if self._draft and self._draft.is_open else None

    @property
    def planner(self) -> Planner | None:
        """The planner of the model that is there."""
        return self._source.planner if self._source and self.model else None

    def look_after(self, drafts: Drafts) -> None:
        """Let it go where it does not pay, or has failed; let it come again. Between two tokens."""
        if self._draft and self._draft.has_failed:
            self._draft = self._source = None
            self._memory.dismiss_draft()
        elif self.model and not drafts.pays(self.model):
            self._memory.dismiss_draft()
        elif self._source and not self.model and drafts.answers != self._answers:
            self._come_again(self._source, drafts)
        self._answers = drafts.answers

    def rethink(self) -> None:
        """There may be more room now: it may come again before the next answer begins."""
        self._answers = -1

    def close(self) -> None:
        """Free its memory. Harmless when repeated."""
        if self._draft:
            self._draft.close()

    def _come_again(self, source: DraftSource, drafts: Drafts) -> None:
        if not (drafts.allow_again(self._seconds) and self._memory.has_room_for(source.planner)):
            return
        try:
            self._memory.admit_draft(source.planner, lambda: self._loaded(source))
        except FlashbulbError as error:
            log.warning("%s drafts no more: %s", source.name, error)
            self._source = None
        if self.model:
            drafts.take_again(self.model, self._seconds)

    def _loaded(self, source: DraftSource) -> DraftModel:
        began, execution = perf_counter(), source.build()
        mx.eval(mx.random.state)  # building draws weights, all of which are replaced
        self._draft = DraftModel(execution, source.planner)
        self._seconds = perf_counter() - began
        return self._draft
