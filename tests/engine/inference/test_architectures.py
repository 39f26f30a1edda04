"""Every architecture of mlx-lm that has experts runs from its folder, and says what mlx-lm says with all in memory."""

import re
from pathlib import Path

import mlx.core as mx
import mlx_lm.models
import numpy as np
import pytest

from engine.errors import BudgetError
from engine.inference.load import load
from engine.settings import Settings
from engine.streaming.experts import StreamedExperts
from engine.streaming.overlap import Way
from tests.helpers.mlx_models import InMemory, write_moe
from tests.helpers.moe_configs import CONFIGS, FAILURES, VOCABULARY

PROMPT = np.random.default_rng(0).integers(0, VOCABULARY, 24).tolist()
TOKENS = 10  # that are decoded
CONTAINERS = re.compile(r"\bSwitch(GLU|MLP)\(")
HEIRS = re.compile(r"^from \.(\w+) import Model\b", re.MULTILINE)
CASES = [name for name in CONFIGS if name not in FAILURES]


def greedy(folder: Path, budget: int, overlap: bool) -> tuple[list[int], np.ndarray]:
    """The tokens that follow the prompt, and the logits that say so. overlap: whatever can be done early is."""
    model = load(folder, Settings(memory_budget=budget, overlap=overlap))
    try:
        if overlap:
            model.streaming.overlap.begin = lambda: None
            model.streaming.overlap.way = Way.BOTH
        found = [np.array(model.prefill(PROMPT)[0][0, -1])]
        while len(found) < TOKENS:
            found.append(np.array(model.decode(int(found[-1].argmax()))[0][0, -1]))
        experts = [each for _, each in model.network.named_modules() if isinstance(each, StreamedExperts)]
        assert all(each.guess is None or each.guess.can_be_asked for each in experts)
        return [int(logits.argmax()) for logits in found], np.stack(found)
    finally:
        model.close()


def budgets(folder: Path) -> list[int]:
    """The smallest budget, one in the middle, and one with room for everything."""
    with pytest.raises(BudgetError) as raised:
        load(folder, Settings(memory_budget=1))
    smallest = raised.value.smallest
    assert smallest
    pools = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    return [smallest, smallest + pools, smallest + 40 * pools + 40_000_000]


def assert_the_same(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tokens, expected = InMemory(folder).greedy(PROMPT, TOKENS)
    spread = (mx.max(expected) - mx.min(expected)).item()
    smallest, middle, largest = budgets(folder)
    for budget, overlap in ((smallest, True), (middle, False), (largest, False)):
        said, logits = greedy(folder, budget, overlap)
        assert said == tokens
        assert np.abs(logits - np.array(expected)).max() <= 1e-4 * spread
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("model_type", CASES)
def test_an_architecture_says_what_mlx_lm_says(model_type, tmp_path):
    assert_the_same(write_moe(tmp_path / "model", model_type))


@pytest.mark.parametrize("model_type", FAILURES)
def test_mlx_lm_itself_fails(model_type, tmp_path):
    """Found to work now, one is taken off the table."""
    folder = write_moe(tmp_path / "model", model_type)
    with pytest.raises(Exception, match=FAILURES[model_type]):
        InMemory(folder).logits(PROMPT)


def test_no_architecture_is_forgotten():
    """Every module that uses a container of experts is tried, and what is built on that."""
    sources = {path.stem: path.read_text() for path in Path(mlx_lm.models.__path__[0]).glob("*.py")}
    using = {name for name, source in sources.items() if CONTAINERS.search(source)} - {"switch_layers"}
    assert len(using) >= 42
    heirs = {name for name, source in sources.items() if set(HEIRS.findall(source)) & using}
    assert using | heirs <= CONFIGS.keys()
