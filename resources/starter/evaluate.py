"""Measure the starter model: `uv run python resources/starter/evaluate.py` writes evaluation.json beside this file.

What `flashbulb eval` prints: for the held-out conversations with whole layers streamed, which is exact; and for every
24th through the decode path, with exact and with predicted selection.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import engine
from engine.inference.evaluate import evaluate
from engine.tokens.corpus import Corpus

HERE = Path(__file__).parent
SAMPLE = 24
CHECK = 48  # few enough conversations for a test to repeat


def measure(selection: str, prefill: bool, every: int) -> dict:
    """An `eval` report of every so-many-th held-out conversation, and the share of FFN bytes read a token."""
    model = engine.load("starter", engine.Settings(selection=selection))
    sequences = Corpus.read(HERE / "heldout.jsonl.gz").sequences(model.tokenizer)[::every]
    report = evaluate(model, sequences, prefill=prefill)[0].report()
    report["flash_share_per_token"] = report["bytes_read"] / report["tokens"] / model.flash_bytes
    model.close()
    return report


def main() -> None:
    work = {
        "heldout": ("predictor", True, 1),
        "sample_exact": ("exact", False, SAMPLE),
        "sample_predictor": ("predictor", False, SAMPLE),
        "check": ("predictor", True, CHECK),
    }
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        measured = dict(zip(work, pool.map(measure, *zip(*work.values(), strict=True)), strict=True))
    (HERE / "evaluation.json").write_text(json.dumps(measured, indent=2) + "\n")
    print_table(measured["heldout"])


def print_table(report: dict) -> None:
    """README's table."""
    print("| layer | sparsity | false negatives | false positives |\n| --- | --- | --- | --- |")
    columns = zip(report["sparsity"], report["false_negatives"], report["false_positives"], strict=True)
    for layer, values in enumerate(columns):
        print(f"| {layer} | " + " | ".join(f"{100 * value:.1f} %" for value in values) + " |")


if __name__ == "__main__":
    main()
