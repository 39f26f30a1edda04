"""Pools have what the context does not need, give it what it takes, and get it back."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.bench.expert_shapes import EXPERT_SHAPES
from engine.errors import BudgetError
from engine.inference.load import load
from engine.inference.memory import HeldMemory
from engine.planning.checkpoint import CheckpointSizes
from engine.planning.memory import FIRST_TOKENS, KEPT_SHARE, Planner
from engine.planning.shape import ModelShape
from engine.settings import Settings

SHAPE = EXPERT_SHAPES["qwen3-30b-a3b"]
NETWORK = ModelShape.from_config(SHAPE.config | {"quantization": SHAPE.quantization})
SIZES = CheckpointSizes(NETWORK, NETWORK.model_bytes, 50_000_000, heads=1)
SETTINGS = Settings(selection="exact")
TOKENS = np.random.default_rng(0).integers(5, 2000, size=400).tolist()


@pytest.fixture(scope="module")
def starter():
    model = load("starter", SETTINGS)
    yield model
    model.close()


@pytest.fixture
def model(starter):
    """With room for its whole context, and some of its neurons beside it."""
    starter.forget()
    planner = Planner.of(starter.outlook.sizes, SETTINGS)
    starter.set_budget((planner.smallest(512) + starter.outlook.full_budget(SETTINGS)) // 2)
    starter.prefill(TOKENS[:1])
    starter.forget()
    return starter


def test_a_context_takes_from_the_pools_and_gives_back(model):
    first = model.budget
    model.prefill(TOKENS)
    assert model.budget.items["kv_cache"] > first.items["kv_cache"]
    assert sum(model.budget.capacities) < sum(first.capacities)
    assert model.budget.capacities == model.streaming.capacities
    assert {cache.keys.shape[2] for cache in model.caches} == {512}
    model.trim(0)
    model.prefill(TOKENS[:3])
    assert model.budget == first
    assert {cache.keys.shape[2] for cache in model.caches} == {256}


@pytest.mark.parametrize("tokens", [100, 300])
def test_a_prepared_model_s_context_is_planned_to_the_token(tokens):
    model = load("starter", replace(SETTINGS, context=tokens))
    try:
        model.prefill(TOKENS[: tokens - 1])
        held = sum(cache.keys.nbytes + cache.values.nbytes for cache in model.caches)
        assert held == model.outlook.sizes.shape(model.settings).context_bytes(tokens)
    finally:
        model.close()


def test_pools_that_come_and_go_change_nothing_that_is_computed(model):
    def logits():
        model.forget()
        found = [np.array(model.prefill(TOKENS[:250])[0][0, -1])]
        for token in TOKENS[250:260]:
            found.append(np.array(model.decode(token)[0][0, -1]))
            model.set_budget(next(budgets))
        return np.stack(found)

    low, high = model.outlook.smallest_budget(SETTINGS) + 4_000_000, model.outlook.full_budget(SETTINGS)
    budgets = iter([high] * 10)
    expected = logits()
    budgets = iter([low, high, (low + high) // 2, low, low, high, low + 1_000_000, high, low, high])
    found = logits()
    assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected)


def test_the_longest_context_is_what_the_smallest_pools_leave(model):
    smallest = model.outlook.smallest_budget(SETTINGS)
    model.set_budget(smallest)
    assert model.context == FIRST_TOKENS
    model.prefill(TOKENS[:200])
    for token in TOKENS[200:256]:
        model.decode(token)
    with pytest.raises(BudgetError):
        model.decode(TOKENS[256])
    assert len(model.cached_tokens) == 256
    assert model.budget.total <= smallest


def test_a_budget_without_room_for_the_context_is_refused_and_changes_nothing(model):
    model.prefill(TOKENS)
    before = model.budget
    with pytest.raises(BudgetError, match="kv cache"):
        model.set_budget(model.outlook.smallest_budget(SETTINGS))
    assert model.budget is before
    model.decode(5)


@dataclass
class FakeContext:
    """A context without keys and values."""

    tokens: int = 0
    rows: int = 0
    caches: tuple = ()

    def resize(self, rows: int) -> None:
        assert rows >= self.tokens
        self.rows = rows

    def trim(self, tokens: int) -> int:
        self.tokens = tokens
        return tokens


class FakeStreaming:
    """Pools without memory."""

    capacities: tuple[int, ...] = ()

    def resize(self, capacities, buffer_bytes, movable_bytes) -> None:
        assert min(buffer_bytes, movable_bytes) > 0
        self.capacities = tuple(capacities)


@dataclass
class Kept:
    """Contexts of other conversations, a million bytes each."""

    contexts: int = 0

    @property
    def bytes_aside(self) -> int:
        return 1_000_000 * self.contexts

    def limit(self, room: int) -> None:
        self.contexts = min(self.contexts, room // 1_000_000)


def held(budget: int, kept: Kept | None = None):
    """The memory of a model of 30 billion parameters, of which nothing is there."""
    memory = HeldMemory(SIZES, Settings(memory_budget=budget))
    context, streaming = FakeContext(), FakeStreaming()
    memory.attach(context, streaming, kept)
    return memory, context, streaming


SMALLEST = Planner.of(SIZES, Settings(memory_budget=8 << 30)).smallest(FIRST_TOKENS)  # linears stay, tables do not
steps = st.one_of(
    st.tuples(st.just("tokens"), st.integers(1, 60_000)),
    st.tuples(st.just("budget"), st.integers(0, 20 << 30)),
    st.tuples(st.just("pressure"), st.integers(0, 2)),
    st.tuples(st.just("kept"), st.integers(0, 2000)),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(steps, max_size=25))
def test_whatever_happens_the_ceiling_holds(happened):
    ceiling = SMALLEST + (4 << 30)
    memory, context, streaming = held(ceiling, kept := Kept())
    now = 0.0
    for what, much in happened:
        if what == "tokens":
            context.tokens = min(context.tokens, much)
            memory.hold(min(much, memory.longest))
            context.tokens = min(much, memory.longest)
        elif what == "budget":
            try:
                memory.set_budget(Settings(memory_budget=SMALLEST + much))
                ceiling = SMALLEST + much
            except BudgetError as error:
                assert error.smallest > SMALLEST + much
        elif what == "pressure":
            now += 20
            (memory.relief.give, memory.relief.give_half, partial(memory.relief.take, now))[much]()
            memory.follow_relief()
        else:
            kept.contexts += much
            memory.hold(context.tokens)
        assert memory.budget.total <= memory.budget.ceiling <= ceiling
        assert context.tokens <= context.rows == memory.plan.tokens <= max(memory.longest, FIRST_TOKENS)
        assert streaming.capacities in ((), memory.budget.capacities)
        assert memory.budget.items.get("kept_contexts", 0) == kept.bytes_aside


def test_contexts_of_other_conversations_go_before_the_pools_do():
    memory, context, _ = held(SMALLEST + (4 << 30), kept := Kept(1500))
    memory.hold(1)
    allowed, first = memory.budget.items["kept_contexts"], memory.budget.items["kv_cache"]
    assert 500_000_000 < allowed <= KEPT_SHARE * (4 << 30)
    pools = memory.budget.items["pool"]
    memory.hold(4000)
    context.tokens = 4000
    grown = memory.budget.items["kv_cache"] - first
    assert 0 < grown < allowed
    assert allowed / 2 < kept.bytes_aside <= allowed - 0.9 * grown
    assert memory.budget.items["pool"] == pytest.approx(pools, rel=0.03)
    memory.hold(16_000)
    assert kept.bytes_aside == 0
    assert memory.budget.items["pool"] < 0.9 * pools


def test_a_long_context_grows_in_larger_steps():
    memory, context, _ = held(SMALLEST + (16 << 30))
    rooms = set()
    for tokens in range(1, 30_000, 50):
        memory.hold(tokens)
        context.tokens = tokens
        rooms.add(context.rows)
        assert context.rows - tokens <= max(256, tokens / 8)
    assert len(rooms) < 50
