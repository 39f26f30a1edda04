"""A program that answers a question whose prompt takes long, until somebody kills it: `python -m
tests.helpers.slow_prompt MODEL CONTEXTS TOKENS.json SEED`. Its context is kept as it goes."""

import json
import sys
import time
from pathlib import Path

from engine.inference import model as of_models
from engine.inference.checkpoint import CheckpointExecution
from engine.inference.kept import KeptContexts
from engine.inference.load import load
from engine.planning import checkpoint as of_sizes
from engine.settings import GenerationOptions, Settings

BLOCK_TOKENS = 64  # of the prompt that are computed at once
BLOCK_S = 0.3  # that a block of the prompt takes longer
CONVERSATION = "a"


def main(model: str, contexts: str, tokens: str, seed: str) -> None:
    """Begin with the answer."""
    of_models.KEEP_S, of_sizes.MAX_CHUNK = 0.0, BLOCK_TOKENS
    compute = CheckpointExecution.compute

    def slowly(self: CheckpointExecution, block: list[int], last_only: bool) -> object:
        time.sleep(BLOCK_S)
        return compute(self, block, last_only)

    CheckpointExecution.compute = slowly  # type: ignore[method-assign, assignment]
    loaded = load(model, Settings())
    loaded.keep_in(KeptContexts(Path(contexts)))
    options = GenerationOptions(seed=int(seed), conversation=CONVERSATION, max_tokens=8)
    print("begun", flush=True)
    for _ in loaded.generate(json.loads(Path(tokens).read_text()), options):
        pass
    print("ended", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
