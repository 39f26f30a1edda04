"""`flashbulb eval`: a model measured on a text."""

import json
import zlib
from argparse import Namespace
from errno import EISDIR
from os import strerror
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from engine.cli.arguments import MODEL_HELP, Commands, add_json, add_settings, model, path, settings_of
from engine.cli.conversation import words_of_loss
from engine.cli.loading import loaded_model
from engine.cli.output import Progress, print_json, say
from engine.errors import FlashbulbError
from engine.system.documents import reason
from engine.text import readable

if TYPE_CHECKING:
    import numpy as np

    from engine.inference.model import LoadedModel
    from engine.tokens.corpus import Corpus, Sequence


def add_to(commands: Commands) -> None:
    """Add `eval` to the command line."""
    parser = commands.add_parser("eval", help="measure a model on a text")
    parser.add_argument("model", type=model, metavar="MODEL", help=MODEL_HELP)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", type=path, metavar="FILE",
                        help="plain text, or conversations as .jsonl or .jsonl.gz")  # fmt: skip
    source.add_argument("--tokens", type=path, metavar="FILE.json", help="a JSON list of token ids")
    parser.add_argument("--prefill", action="store_true", help="stream whole layers instead of decoding")
    parser.add_argument("--context-loss", action="store_true",
                        help="what keeping the conversation in 8 bits (--small-context) costs on this text, against "
                        "the exact; info and the window say it from then on")  # fmt: skip
    parser.add_argument("--save-logits", type=path, metavar="FILE.safetensors",
                        help="keep every token's logits in this file; by default, they are not kept")  # fmt: skip
    add_settings(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Namespace) -> None:
    """Measure a model. What is given is read, and the place of the logits tried, before a model is loaded for them."""
    from engine.inference.evaluate import evaluate
    from engine.tokens.corpus import Corpus

    given = Corpus.read(args.text) if args.text else _token_list(args.tokens)
    if args.context_loss:
        _measure_context_loss(args, given)
        return
    if args.save_logits:
        _check_place(args.save_logits)
    loaded = loaded_model(args)
    try:
        sequences = _sequences(args, given, loaded)
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


def _measure_context_loss(args: Namespace, given: "Corpus | list[int]") -> None:
    from engine.inference.context_loss import compare
    from engine.inference.load import find

    with Progress("evaluating", not args.json) as progress:
        found = compare(find(args.model), settings_of(args), lambda loaded: _sequences(args, given, loaded), progress)
    loss, exact, small = found.loss, found.exact.perplexity, found.small.perplexity
    if args.json:
        print_json({"tokens": loss.tokens, "perplexity": exact, "small_perplexity": small, "loss": loss.loss,
                    "agreement": loss.agreement})  # fmt: skip
        return
    say(f"Perplexity {exact:.4f}, with the conversation in 8 bits {small:.4f}: {words_of_loss(loss)}")


def _sequences(args: Namespace, given: "Corpus | list[int]", loaded: "LoadedModel") -> "list[Sequence]":
    from engine.tokens.corpus import Sequence, text_bytes

    tokenizer = loaded.tokenizer
    if isinstance(given, list):
        if max(given) >= loaded.vocabulary:
            raise _no_tokens(args.tokens, f"{loaded.vocabulary - 1}")
        return [Sequence(given, text_bytes(given, tokenizer) if tokenizer else 0)]
    if tokenizer is None:
        raise FlashbulbError("{name} has no tokenizer: give it token ids with --tokens.", name=loaded.name)
    return given.sequences(tokenizer)


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


def _token_list(path: Path) -> list[int]:
    from engine.tokens.corpus import content_of

    try:
        tokens = json.loads(content_of(path))
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise FlashbulbError(
            "{path} cannot be read as a JSON list of token ids: {error}", path=path, error=reason(error)
        ) from error
    if not isinstance(tokens, list) or not tokens or not all(type(token) is int and token >= 0 for token in tokens):
        raise _no_tokens(path, "the vocabulary's last")
    return tokens


def _no_tokens(path: Path, largest: str) -> FlashbulbError:
    return FlashbulbError("{path} is no JSON list of token ids from 0 to {largest}.", path=path, largest=largest)


def _check_place(path: Path) -> None:
    """Raises FlashbulbError where no file could be written: better now than after hours of measuring."""
    try:
        if path.is_dir():
            raise OSError(EISDIR, strerror(EISDIR))
        with TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _not_written(path, error) from error


def _save_logits(path: Path, logits: "np.ndarray") -> None:
    from safetensors.numpy import save_file

    try:
        save_file({"logits": logits}, path)
    except Exception as error:  # the library wraps the system's error in its own
        raise _not_written(path, error) from error


def _not_written(path: Path, error: Exception) -> FlashbulbError:
    return FlashbulbError("The logits cannot be written to {path}: {error}.", path=path, error=reason(error))
