"""The command line: generate, eval, prepare, info, models, bench.

With --json, one JSON object on standard output and nothing else. Errors are one line on standard error; exit status 2
for bad use, 1 for a failure.
"""

import argparse
import os
import sys

from engine.cli import bench, models
from engine.cli.arguments import add_settings, positive, size
from engine.cli.evaluate import run_eval
from engine.cli.generate import run_generate
from engine.cli.output import Progress, print_json
from engine.cli.prepare import run_info, run_prepare
from engine.errors import FlashbulbError, OptionError
from engine.settings import SELECTIONS
from engine.system.awake import awake
from engine.system.folders import given_path

BAD_USE = 2  # exit status


def main(argv: list[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        with awake("Working"):
            args.run(args)
    except OptionError as error:
        return _fail(f"--{str(error).replace('_', '-')}", BAD_USE)
    except FlashbulbError as error:
        return _fail(str(error))
    except BrokenPipeError:
        # Whoever read our output is gone; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _fail(message: str, status: int = 1) -> int:
    print(f"flashbulb: {' '.join(message.split())}", file=sys.stderr)
    return status


# ---------------------------------------------------------------------------------------------- arguments
def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flashbulb", description="Language models larger than memory, from flash.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    model = {"help": "a prepared model's folder, or `starter`"}

    generate = commands.add_parser("generate", help="answer a prompt")
    generate.add_argument("model", **model)
    generate.add_argument("--prompt", required=True, metavar="TEXT")
    generate.add_argument("--raw", action="store_true", help="take the prompt as it is, without the chat template")
    generate.add_argument("--max-tokens", type=int, default=256, metavar="N", help="length of the answer at most, 256")
    generate.add_argument(
        "--temperature", type=float, metavar="T", help="0 for the likeliest; as the model's makers advise"
    )
    generate.add_argument("--top-p", type=float, metavar="P", help="the likeliest tokens of this share")
    generate.add_argument("--top-k", type=int, metavar="K", help="sample from the K likeliest tokens")
    generate.add_argument("--min-p", type=float, metavar="P", help="at least this share of the likeliest one's")
    generate.add_argument("--repetition-penalty", type=float, metavar="R", help="1 for none")
    generate.add_argument("--presence-penalty", type=float, metavar="R", help="0 for none")
    generate.add_argument("--frequency-penalty", type=float, metavar="R", help="0 for none")
    generate.add_argument("--seed", type=int, metavar="S", help="from 0: the same answer each time")
    generate.add_argument("--thinking", dest="enable_thinking", action=argparse.BooleanOptionalAction)
    generate.add_argument("--reasoning-effort", metavar="low|medium|high", help="where the model's template knows it")
    generate.add_argument("--plain-format", action="store_true", help="without the chat template, for one that fails")
    generate.add_argument("--stop", action="append", default=[], metavar="TEXT", help="end the answer before this text")
    add_settings(generate)
    generate.set_defaults(run=run_generate)

    evaluate = commands.add_parser("eval", help="measure a model on a text")
    evaluate.add_argument("model", **model)
    source = evaluate.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--text", type=given_path, metavar="FILE", help="plain text, or conversations as .jsonl or .jsonl.gz"
    )
    source.add_argument("--tokens", type=given_path, metavar="FILE.json", help="a JSON list of token ids")
    evaluate.add_argument("--prefill", action="store_true", help="stream whole layers instead of decoding")
    evaluate.add_argument("--save-logits", type=given_path, metavar="FILE.safetensors")
    add_settings(evaluate)
    evaluate.set_defaults(run=run_eval)

    prepare = commands.add_parser("prepare", help="make a prepared model of a checkpoint")
    prepare.add_argument("checkpoint", type=given_path, metavar="CHECKPOINT")
    prepare.add_argument("out", type=given_path, metavar="OUT")
    prepare.add_argument(
        "--calibration", type=given_path, metavar="FILE", help="a text that is typical of what will be asked"
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
    prepare.set_defaults(run=run_prepare)

    info = commands.add_parser("info", help="what a prepared model is and needs")
    info.add_argument("model", **model)
    info.add_argument("--selection", choices=SELECTIONS, default="predictor")
    info.add_argument("--verify", action="store_true", help="check every byte against the manifest")
    info.add_argument("--json", action="store_true")
    info.set_defaults(run=run_info)

    models.add_to(commands, Progress, print_json)
    bench.add_to(commands, Progress, print_json, positive, size)
    return parser
