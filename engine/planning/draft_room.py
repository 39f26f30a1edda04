"""The room for a draft model: it takes it from what would be in memory of the large one, so it must be little."""

from engine.errors import BudgetError
from engine.planning.memory import FIRST_TOKENS, USUAL_CONTEXT, Planner, Sizes
from engine.settings import DRAFT_MODEL_AUTO, Settings

MAX_ROOM_SHARE = 0.1  # of what a budget has beyond the smallest


def has_room(sizes: Sizes, settings: Settings, draft: Planner) -> bool:
    """True where a usual context fits all the same, and what is held of the model is nearly as much. Raises
    BudgetError where not even the model alone fits."""
    alone = Planner.of(sizes, settings)
    tokens = alone.at_most(settings.context or USUAL_CONTEXT)
    rows = alone.plan(tokens).budget.capacities
    try:
        beside = Planner.of(sizes, settings, draft)
        fewer = beside.plan(tokens).budget.capacities
    except BudgetError:
        return False
    room = alone.ceiling - alone.smallest(tokens)
    return fewer == rows or (beside.smallest(tokens) - alone.smallest(tokens) <= MAX_ROOM_SHARE * room)


def planner_beside(sizes: Sizes, settings: Settings, draft: Planner | None) -> Planner:
    """The planner of a model, with a draft model beside it where there is one that these settings have room for.
    Raises BudgetError where not even the model alone fits."""
    wanted = draft if draft and settings.wants_draft_model and _is_loaded(sizes, settings, draft) else None
    return Planner.of(sizes, settings, wanted)


def _is_loaded(sizes: Sizes, settings: Settings, draft: Planner) -> bool:
    """True where it would be loaded: one that somebody named needs no more than some room."""
    return (has_room if settings.draft_model == DRAFT_MODEL_AUTO else fits)(sizes, settings, draft)


def fits(sizes: Sizes, settings: Settings, draft: Planner) -> bool:
    """True where there is room for both, and a context that begins."""
    try:
        Planner.of(sizes, settings, draft).plan(FIRST_TOKENS)
    except BudgetError:
        return False
    return True
