"""`flashbulb eval`: a model measured on a text."""

import json
from pathlib import Path

from engine.cli.arguments import settings_of
from engine.cli.output import Progress, print_json
from engine.errors import FlashbulbError
from engine.text import readable


def run_eval(args) -> None:
    from engine.inference.evaluate import evaluate
    from engine.inference.load import load
    from engine.tokens.corpus import read_sequences

    model = load(args.model, settings_of(args))
    try:
        if args.text:
            if model.tokenizer is None:
                raise FlashbulbError("{name} has no tokenizer: give it token ids with --tokens.", name=model.name)
            sequences = read_sequences(args.text, model.tokenizer)
        else:
            sequences = [_token_file(args.tokens, model.tokenizer, model.vocabulary)]
        with Progress("evaluating", not args.json) as progress:
            evaluation, logits = evaluate(
                model, sequences, args.prefill, args.save_logits is not None, lambda done, all_: progress(done / all_)
            )
    finally:
        model.close()
    if args.save_logits:
        _save_logits(args.save_logits, logits)
    report = evaluation.report()
    if args.json:
        print_json(report)
        return
    bits = f", {report['bits_per_byte']:.4f} bits per byte" if report["bits_per_byte"] else ""
    print(f"{report['tokens']} tokens: perplexity {report['perplexity']:.4f}{bits}")
    print(f"{readable(report['bytes_read'])} read from flash, hit rate {report['hit_rate']:.3f}")
    errors = zip(report.get("false_negatives", []), report.get("false_positives", []), strict=True)
    columns = [f"{s:9.4f}" for s in report["sparsity"]]
    if "false_negatives" in report:
        columns = [f"{c} {fn:10.4f} {fp:10.4f}" for c, (fn, fp) in zip(columns, errors, strict=True)]
    print("layer  sparsity" + ("   missed    false alarms" if "false_negatives" in report else ""))
    for layer, line in enumerate(columns):
        print(f"{layer:5d} {line}")


def _token_file(path: Path, tokenizer, vocabulary: int):
    from engine.tokens.corpus import Sequence, text_bytes

    try:
        tokens = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise FlashbulbError(
            "{path} cannot be read as a JSON list of token ids: {error}", path=path, error=error
        ) from error
    if not isinstance(tokens, list) or not tokens or not all(type(t) is int and 0 <= t < vocabulary for t in tokens):
        raise FlashbulbError(
            "{path} is no JSON list of token ids from 0 to {largest}.", path=path, largest=vocabulary - 1
        )
    return Sequence(tokens, text_bytes(tokens, tokenizer) if tokenizer else 0)


def _save_logits(path: Path, logits) -> None:
    from safetensors.numpy import save_file

    try:
        save_file({"logits": logits}, path)
    except Exception as error:  # the library wraps the system's error in its own
        raise FlashbulbError("The logits could not be written to {path}: {error}", path=path, error=error) from error
