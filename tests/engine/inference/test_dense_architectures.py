"""Every architecture of mlx-lm that has no experts runs from its folder with the smallest budget, all that can be
streamed on flash, and says what mlx-lm says with all in memory."""

from pathlib import Path

import mlx.core as mx
import mlx_lm.models
import numpy as np
import pytest

from engine.errors import CheckpointError
from engine.inference.load import load
from engine.models import is_supported
from engine.models.mlx_lm import build_mlx_lm
from engine.settings import Settings
from tests.helpers import moe_configs
from tests.helpers.dense_configs import FAILURES, LEFT_OUT, OTHERS, PARTLY_PLAIN, PLAIN
from tests.helpers.dense_models import CONFIGS, write_dense
from tests.helpers.mlx_models import AFFINE4, InMemory
from tests.helpers.moe_configs import VOCABULARY
from tests.helpers.planning import budgets_of

TOKENS = np.random.default_rng(0).integers(0, 300, 20).tolist()
PROMPT = 16
CASES = [name for name in OTHERS if name not in FAILURES]


def said(folder, budget):
    """Logits after the prompt and after each token that follows, and the bytes read for the last one."""
    model = load(folder, Settings(memory_budget=budget))
    try:
        found = [model.prefill(TOKENS[:PROMPT])[0][0, -1]]
        for token in TOKENS[PROMPT:]:
            logits, current = model.decode(token)
            found.append(logits[0, -1])
        return mx.stack(found), current.bytes_read
    finally:
        model.close()


@pytest.mark.parametrize("model_type", CASES)
def test_an_architecture_says_what_mlx_lm_says(model_type, tmp_path):
    folder = write_dense(tmp_path / "model", model_type, None if model_type in PLAIN else AFFINE4)
    expected = InMemory(folder).step_by_step(TOKENS, PROMPT)
    smallest, _, largest = budgets_of(folder)
    (streamed, read), (resident, nothing) = said(folder, smallest), said(folder, largest)
    assert read > nothing == 0
    said_of, wanted = streamed[:, :VOCABULARY], expected[:, :VOCABULARY]  # others may be ruled out by the model itself
    assert float(mx.abs(said_of - wanted).max()) <= 1e-4 * float(mx.abs(wanted).max())
    assert model_type in PLAIN | PARTLY_PLAIN or mx.array_equal(streamed, resident)


@pytest.mark.parametrize("model_type", FAILURES)
def test_mlx_lm_itself_fails(model_type, tmp_path):
    """Found to work now, one is taken off the table."""
    folder = write_dense(tmp_path / "model", model_type)
    with pytest.raises(Exception, match=FAILURES[model_type]):
        InMemory(folder).logits(TOKENS)


def test_no_architecture_is_forgotten():
    sources = {path.stem: path.read_text() for path in Path(mlx_lm.models.__path__[0]).glob("*.py")}
    architectures = {name for name, source in sources.items() if "\nclass Model(" in source}
    assert architectures <= {*CONFIGS, *OTHERS, *moe_configs.CONFIGS, *LEFT_OUT}
    assert len({*CONFIGS, *OTHERS}) >= 60


def test_a_file_of_mlx_lm_s_that_ends_the_process_is_no_architecture():
    assert not is_supported("olmo")
    with pytest.raises(CheckpointError, match="not supported"):
        build_mlx_lm({"model_type": "olmo"})
