"""`flashbulb eval`: a model measured on a text."""

import json
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.arguments import MODEL_HELP, Commands, add_json, add_settings, model, path
from engine.cli.loading import loaded_model
from engine.cli.output import Progress, print_json, say
from engine.errors import FlashbulbError
from engine.system.documents import reason
from engine.text import readable

if TYPE_CHECKING:
    import numpy as np

    from engine.inference.model import LoadedModel
    from engine.tokens.corpus import Sequence


def add_to(commands: Commands) -> None:
    """Add `eval` to the command line."""
    parser = commands.add_parser("eval", help="measure a model on a text")
    parser.add_argument("model", type=model, metavar="MODEL", help=MODEL_HELP)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", type=path, metavar="FILE",
                        help="plain text, or conversations as .jsonl or .jsonl.gz")  # fmt: skip
    source.add_argument("--tokens", type=path, metavar="FILE.json", help="a JSON list of token ids")
    parser.add_argument("--prefill", action="store_true", help="stream whole layers instead of decoding")
    parser.add_argument("--save-logits", type=path, metavar="FILE.safetensors",
                        help="keep every token's logits in this file; by default, they are not kept")  # fmt: skip
    add_settings(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> None:
    """Measure a model."""
    from engine.inference.evaluate import evaluate

    loaded = loaded_model(args)
    try:
        sequences = _sequences(args, loaded)
        with Progress("evaluating", not args.json) as progress:
            evaluation, logits = evaluate(
                loaded, sequences, args.prefill, args.save_logits is not None, lambda done, all_: progress(done / all_)
            )
    finally:
        loaded.close()
    if args.save_logits and logits is not None:
        _save_logits(args.save_logits, logits)
    report = evaluation.report()
    if args.json:
        print_json(report)
    else:
        _print_report(report)


def _sequences(args: Namespace, loaded: "LoadedModel") -> "list[Sequence]":
    from engine.tokens.corpus import read_sequences

    if not args.text:
        return [_token_file(args.tokens, loaded)]
    if loaded.tokenizer is None:
        raise FlashbulbError("{name} has no tokenizer: give it token ids with --tokens.", name=loaded.name)
    return list(read_sequences(args.text, loaded.tokenizer))


def _print_report(report: dict[str, Any]) -> None:
    bits = f", {report['bits_per_byte']:.4f} bits per byte" if report["bits_per_byte"] else ""
    say(f"{report['tokens']} tokens: perplexity {report['perplexity']:.4f}{bits}")
    hits = f", hit rate {report['hit_rate']:.3f}" if report["hit_rate"] is not None else ""
    say(f"{readable(report['bytes_read'])} read from flash{hits}")
    if not report["sparsity"]:
        return
    errors = zip(report.get("false_negatives", []), report.get("false_positives", []), strict=True)
    columns = [f"{s:9.4f}" for s in report["sparsity"]]
    if "false_negatives" in report:
        columns = [f"{c} {fn:10.4f} {fp:10.4f}" for c, (fn, fp) in zip(columns, errors, strict=True)]
    say("layer  sparsity" + ("   missed    false alarms" if "false_negatives" in report else ""))
    for layer, line in enumerate(columns):
        say(f"{layer:5d} {line}")


def _token_file(path: Path, loaded: "LoadedModel") -> "Sequence":
    from engine.tokens.corpus import Sequence, text_bytes

    vocabulary, tokenizer = loaded.vocabulary, loaded.tokenizer
    try:
        tokens = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FlashbulbError(
            "{path} cannot be read as a JSON list of token ids: {error}", path=path, error=reason(error)
        ) from error
    if not isinstance(tokens, list) or not tokens or not all(type(t) is int and 0 <= t < vocabulary for t in tokens):
        raise FlashbulbError(
            "{path} is no JSON list of token ids from 0 to {largest}.", path=path, largest=vocabulary - 1
        )
    return Sequence(tokens, text_bytes(tokens, tokenizer) if tokenizer else 0)


def _save_logits(path: Path, logits: "np.ndarray") -> None:
    from safetensors.numpy import save_file

    try:
        save_file({"logits": logits}, path)
    except Exception as error:  # the library wraps the system's error in its own
        raise FlashbulbError("The logits could not be written to {path}: {error}", path=path, error=error) from error
