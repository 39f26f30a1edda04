"""The command line: generate, eval, prepare, info, models, bench.

With --json, one JSON object on standard output and nothing else. Errors are one line on standard error; exit status 2
for bad use, 1 for a failure.
"""

import argparse
import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from time import monotonic

from engine import cli_models
from engine.awake import awake
from engine.bench import cli as bench
from engine.errors import FlashbulbError
from engine.memory.budget import readable
from engine.settings import SELECTIONS, GenerationOptions, Settings

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 2**10, "MI": 2**20, "GI": 2**30}


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        with awake("Working"):
            args.run(args)
    except FlashbulbError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output is gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _fail(message: str) -> int:
    print(f"flashbulb: {' '.join(message.split())}", file=sys.stderr)
    return 1


# ------------------------------------------------------------------------------------------------ commands
def _generate(args) -> None:
    from engine.loader import load

    model = load(args.model, _settings(args))
    try:
        prompt = args.prompt if args.raw else [{"role": "user", "content": args.prompt}]
        options = GenerationOptions(
            args.max_tokens,
            args.temperature,
            args.top_p,
            args.seed,
            tuple(args.stop),
            args.top_k,
            args.repetition_penalty,
        )
        generation = model.generate(prompt, options)
        for piece in generation:
            if not args.json:
                print(piece.text, end="", flush=True)
        report = generation_report(model, generation.summary)
    finally:
        model.close()
    if args.json:
        _print_json(report)
        return
    print()
    per = report["per_token"]
    hit_rate = f", {100 * per['hit_rate']:.0f} % hits" if per else ""
    read = f", {readable(per['bytes_read'])} from flash a token" if per else ""
    print(
        f"{report['tokens_per_second']:.1f} tokens/s, first token {report['time_to_first_token_s']:.2f} s"
        f"{read}{hit_rate}, {readable(report['footprint_bytes'])} peak",
        file=sys.stderr,
    )
    if report["left_early"]:
        print(
            f"The window of {args.window} tokens did not fit the neuron pool: {report['left_early']} neurons left "
            "early. A larger memory budget or a smaller window reads less.",
            file=sys.stderr,
        )


def generation_report(model, summary) -> dict:
    """What `generate --json` prints."""
    return {
        "text": summary.text,
        "prompt_tokens": summary.prompt_tokens,
        "tokens": summary.tokens,
        "finish_reason": summary.finish_reason,
        "time_to_first_token_s": summary.time_to_first_token_s,
        "tokens_per_second": summary.tokens_per_second,
        "footprint_bytes": summary.footprint_bytes,
        "baseline_bytes": model.baseline_bytes,
        "budget_bytes": model.budget.ceiling,
        "budget_items": model.budget.items,
        "model_bytes": model.model_bytes,
        "flash_bytes": model.flash_bytes,
        "direct_io": model.direct_io,
        "left_early": summary.left_early,
        "reader": asdict(model.reader.statistics()),
        "prefill": {"seconds": summary.prefill_seconds, "bytes_read": summary.prefill_bytes_read},
        "per_token": summary.per_token,
    }


def _eval(args) -> None:
    from engine.corpus import read_sequences
    from engine.evaluate import evaluate
    from engine.loader import load

    model = load(args.model, _settings(args))
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
        _print_json(report)
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
    from engine.corpus import Sequence, text_bytes

    try:
        tokens = json.loads(path.read_text())
    except (OSError, ValueError) as error:
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


def _prepare(args) -> None:
    from engine.prepare.prepare import prepare

    with Progress("preparing", not args.json) as progress:
        content = prepare(
            args.checkpoint,
            args.out,
            args.calibration,
            args.dtype,
            args.name,
            args.predictors,
            lambda stage, share: progress(share, stage),
        )
    if args.json:
        _print_json({"out": str(args.out), **content})
        return
    print(f"{args.out} is ready.")
    _print_quality(content)


def _info(args) -> None:
    from engine.loader import find
    from engine.outlook import Outlook
    from engine.prepared import PreparedModel

    prepared = PreparedModel.open(find(args.model), verify=args.verify)
    budget = Outlook.of(prepared, None).plan(Settings(selection=args.selection))
    report = {
        "name": prepared.name,
        "architecture": prepared.manifest["architecture"],
        "dtype": prepared.manifest["dtype"],
        "layers": len(prepared.bundles.layers),
        "neurons": prepared.bundles.layers[0].neurons,
        "bundle_bytes": prepared.bundles.layers[0].row_bytes,
        "model_bytes": prepared.bytes,
        "flash_bytes": prepared.bundles.bytes,
        "resident": {name: size for name, size in budget.items.items() if name != "neuron_pool"},
        "smallest_budget_bytes": budget.smallest,
        "default_budget_bytes": budget.ceiling,
        "calibration": prepared.manifest["calibration"],
        "by_layer": prepared.layer_reports,
    }
    if args.json:
        _print_json(report)
        return
    print(f"{report['name']}: {report['architecture']}, {report['layers']} layers of {report['neurons']} neurons")
    on_flash = readable(prepared.bundles.bytes)
    print(f"{readable(prepared.bytes)} of {report['dtype']} weights, of which {on_flash} stay on flash")
    for name, size in report["resident"].items():
        print(f"  {name.replace('_', ' '):<16} {readable(size):>8} in memory")
    print(f"Smallest memory budget {readable(budget.smallest)}, by default {readable(budget.ceiling)}.")
    _print_quality(prepared.manifest)


def _print_quality(manifest: dict) -> None:
    """What was measured while preparing."""
    measured, layers = manifest["calibration"], manifest["layers"]
    kinds = " and ".join(sorted({layer["predictor"] for layer in layers}))
    exact, predicted = measured["exact_perplexity"], measured["predicted_perplexity"]
    print(
        f"Predictors: {kinds}. They cost {100 * (predicted / exact - 1):+.2f} % perplexity ({exact:.4g} with exact "
        f"selection), on {measured['held_out_tokens']} tokens they were not trained on, of {measured['text']}."
    )
    print("layer  sparsity   rank  threshold  recall  false positives  output error")
    for i, r in enumerate(layers):
        print(
            f"{i:5d} {r['sparsity']:9.4f} {r['rank']:6d} {r['threshold']:10.4f} {r['recall']:7.4f} "
            f"{r['false_positives']:16.4f} {r.get('output_error', float('nan')):13.4f}"
        )


# ---------------------------------------------------------------------------------------------- arguments
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flashbulb", description="Language models larger than memory, from flash.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    model = {"help": "a prepared model's folder, or `starter`"}

    generate = commands.add_parser("generate", help="answer a prompt")
    generate.add_argument("model", **model)
    generate.add_argument("--prompt", required=True, metavar="TEXT")
    generate.add_argument("--raw", action="store_true", help="take the prompt as it is, without the chat template")
    generate.add_argument("--max-tokens", type=_positive, default=256, metavar="N")
    generate.add_argument("--temperature", type=_not_negative, default=0.7, metavar="T")
    generate.add_argument("--top-p", type=_share, default=0.9, metavar="P")
    generate.add_argument("--top-k", type=int, default=0, metavar="K", help="sample from the K likeliest tokens")
    generate.add_argument("--repetition-penalty", type=float, default=1.0, metavar="R")
    generate.add_argument("--seed", type=int, metavar="S")
    generate.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end the answer before this text")
    _add_settings(generate)
    generate.set_defaults(run=_generate)

    evaluate = commands.add_parser("eval", help="measure a model on a text")
    evaluate.add_argument("model", **model)
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", type=Path, metavar="FILE", help="plain text, or conversations as .jsonl or .jsonl.gz")
    source.add_argument("--tokens", type=Path, metavar="FILE.json", help="a JSON list of token ids")
    evaluate.add_argument("--prefill", action="store_true", help="stream whole layers instead of decoding")
    evaluate.add_argument("--save-logits", type=Path, metavar="FILE.safetensors")
    _add_settings(evaluate)
    evaluate.set_defaults(run=_eval)

    prepare = commands.add_parser("prepare", help="make a prepared model of a checkpoint")
    prepare.add_argument("checkpoint", type=Path, metavar="CHECKPOINT")
    prepare.add_argument("out", type=Path, metavar="OUT")
    prepare.add_argument(
        "--calibration", type=Path, metavar="FILE", help="a text that is typical of what will be asked"
    )
    prepare.add_argument("--dtype", choices=("float32", "float16", "bfloat16"))
    prepare.add_argument("--name", help="what the model is called, the checkpoint's folder by default")
    prepare.add_argument(
        "--predictors",
        default="trained",
        metavar="trained|factorised|FOLDER",
        help="train them; take the up projections' factorisations as they are; or import published model_*.pt files",
    )
    prepare.add_argument("--json", action="store_true")
    prepare.set_defaults(run=_prepare)

    info = commands.add_parser("info", help="what a prepared model is and needs")
    info.add_argument("model", **model)
    info.add_argument("--selection", choices=SELECTIONS, default="predictor")
    info.add_argument("--verify", action="store_true", help="check every byte against the manifest")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=_info)

    cli_models.add_to(commands, Progress, _print_json)
    bench.add_to(commands, Progress, _print_json, _positive, _size)
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    defaults = Settings()
    parser.add_argument("--window", type=_positive, default=defaults.window, metavar="K", help="tokens")
    parser.add_argument("--memory-budget", type=_size, metavar="6GB", help="a ceiling on what the model adds in memory")
    parser.add_argument("--selection", choices=SELECTIONS, default=defaults.selection)
    parser.add_argument("--json", action="store_true")


def _settings(args) -> Settings:
    return Settings(window=args.window, memory_budget=args.memory_budget, selection=args.selection)


def _size(text: str) -> int:
    match = re.fullmatch(r"([\d.]+)\s*([KMG]I?)?B?", text.strip().upper())
    try:
        return int(float(match[1]) * UNITS[match[2] or ""])
    except (TypeError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write it as 6GB or 512MB") from None


def _positive(text: str) -> int:
    return _number(text, int, lambda value: value >= 1, "a whole number from 1")


def _not_negative(text: str) -> float:
    return _number(text, float, lambda value: 0 <= value < float("inf"), "a number from 0")


def _share(text: str) -> float:
    return _number(text, float, lambda value: 0 < value <= 1, "a number above 0, at most 1")


def _number(text: str, kind, accepted, description: str):
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not accepted(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not {description}")
    return value


# ------------------------------------------------------------------------------------------------- output
def _print_json(report: dict) -> None:
    print(json.dumps(report, indent=2))


class Progress:
    """A bar on standard error for work that takes longer than a second, on a terminal only."""

    WIDTH = 32

    def __init__(self, title: str, wanted: bool):
        self._title, self._wanted = title, wanted and sys.stderr.isatty()
        self._started, self._drawn = monotonic(), 0.0

    def __call__(self, share: float, note: str = "") -> None:
        now = monotonic()
        if not self._wanted or now - self._started < 1 or (now - self._drawn < 0.1 and share < 1):
            return
        self._drawn = now
        filled = round(self.WIDTH * share)
        left = f"{(now - self._started) * (1 - share) / share:.0f} s left" if share > 0 else ""
        bar = "█" * filled + "░" * (self.WIDTH - filled)
        print(f"\r{self._title} {bar} {100 * share:3.0f} % {left} {note}\033[K", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_) -> None:
        if self._drawn:
            print(file=sys.stderr)
