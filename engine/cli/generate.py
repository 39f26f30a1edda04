"""`flashbulb generate`: an answer to a prompt."""

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from engine.cli.arguments import (
    MODEL_HELP,
    Commands,
    add_json,
    add_settings,
    model,
    option,
    standard_input,
    text,
)
from engine.cli.loading import loaded_model
from engine.cli.output import Aside, counted, note, print_json, say
from engine.errors import PromptError
from engine.settings import OUR_SAMPLING, GenerationOptions
from engine.statistics import CERTAIN, LOOKUP
from engine.text import readable

if TYPE_CHECKING:
    from engine.inference.generate import Piece
    from engine.inference.model import LoadedModel
    from engine.statistics import Summary

STANDARD_INPUT = "-"


def add_to(commands: Commands) -> None:
    """Add `generate` to the command line."""
    parser = commands.add_parser("generate", help="answer a prompt")
    parser.add_argument("model", type=model, metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--prompt", type=text, default=STANDARD_INPUT, metavar="TEXT",
        help="the prompt; without it, or as -, it is read from standard input",
    )  # fmt: skip
    parser.add_argument("--raw", action="store_true", help="take the prompt as it is, without the chat template")
    add_sampling(parser)
    add_settings(parser)
    add_json(parser)
    parser.set_defaults(run=run)


SAMPLING = (  # option of GenerationOptions, what stands for its value, and what it does
    ("max_tokens", "N", "the answer's greatest length, in tokens"),
    ("temperature", "T", "higher is more varied, 0 takes the likeliest token"),
    ("top_p", "P", "sample from the likeliest tokens that have this probability together"),
    ("top_k", "K", "sample from the K likeliest tokens, 0 for all"),
    ("min_p", "P", "sample from the tokens that have this share of the likeliest one's probability"),
    ("repetition_penalty", "R", "above 1, what was said before is said again less"),
    ("presence_penalty", "R", "above 0, what was said before is said again less"),
    ("frequency_penalty", "R", "above 0, what was said often is said again less"),
)


def add_sampling(parser: ArgumentParser) -> None:
    """Add how an answer is sampled, and how the model is asked."""
    defaults = GenerationOptions()
    for name, value, does in SAMPLING:
        usual, ours = getattr(defaults, name), OUR_SAMPLING.get(name)
        words = f"default {usual}" if usual is not None else f"by default as the model's makers advise, else {ours:g}"
        parser.add_argument(f"--{name.replace('_', '-')}", type=option(name), default=usual, metavar=value,
                            help=f"{does} ({words})")  # fmt: skip
    parser.add_argument("--seed", type=option("seed"), metavar="S",
                        help="the same answer again; by default another each time")  # fmt: skip
    parser.add_argument(
        "--stop", type=text, action="append", default=[], metavar="TEXT",
        help="end the answer before this text; may be given several times, by default none",
    )  # fmt: skip
    parser.add_argument(
        "--thinking", dest="enable_thinking", action=BooleanOptionalAction,
        help="have the model reason before it answers, or not; by default as its template does",
    )  # fmt: skip
    parser.add_argument("--reasoning-effort", type=text, metavar="low|medium|high",
                        help="where the model's template knows it; by default as the template does")  # fmt: skip
    parser.add_argument("--plain-format", action="store_true",
                        help="a line a message instead of the chat template, for one that fails")  # fmt: skip


def options_of(args: Namespace) -> GenerationOptions:
    """The options of an answer, as the arguments say. Raises OptionError."""
    names = [name for name in GenerationOptions.__dataclass_fields__ if hasattr(args, name)]
    return GenerationOptions(**{name: getattr(args, name) for name in names})


def run(args: Namespace) -> None:
    """Answer a prompt."""
    options, asked = options_of(args), _prompt(args)  # before a model is loaded for them
    loaded = loaded_model(args, read_at_once=True)
    try:
        generation = loaded.generate(asked if args.raw else [{"role": "user", "content": asked}], options)
        aside = Aside()
        for piece in generation:
            if not args.json:
                show(piece, aside)
        aside.end()
        report = generation_report(loaded, generation.summary)
    finally:
        loaded.close()
    if args.json:
        print_json(report)
    else:
        _print_figures(report)


def show(piece: "Piece", aside: Aside) -> None:
    """Print a piece of an answer, and what was reasoned before it beside."""
    aside.say(piece.reasoning)
    if piece.text:
        aside.end()
        say(piece.text, end="")


def _prompt(args: Namespace) -> str:
    asked = standard_input() if args.prompt == STANDARD_INPUT else str(args.prompt)
    if not (asked.strip() or args.raw):
        raise PromptError("The message is empty: write something to answer.")
    return asked


def _print_figures(report: dict[str, Any]) -> None:
    """End the answer's line, and say below it what it took."""
    say()
    note(figures(report))
    if (left := report["left_early"]) and "experts" not in report["per_token"]:
        note(
            f"The window of {counted(report['window'], 'token', 'tokens')} did not fit the neuron pool: "
            f"{counted(left, 'neuron', 'neurons')} left early. A larger memory budget or a smaller window reads less."
        )


def figures(report: dict[str, object]) -> str:
    """A line on what an answer took."""
    per = report["per_token"]
    read = ""
    if isinstance(per, dict) and per and report["flash_bytes"]:
        read = f", {readable(per['bytes_read'])} read per token, {100 * per['hit_rate']:.0f} % hits"
        if experts := per.get("experts"):
            read += (
                f" of {experts['active']:,.0f} experts, {experts['resident']:,.0f} of {experts['of']:,.0f} in memory"
            )
    drafts = report.get("drafts")
    if isinstance(drafts, dict) and drafts["drafted"]:
        right = f"{drafts['accepted']} of {drafts['drafted']} drafts right{_sources(drafts['by'])}"
        read += f", {right}, {drafts['tokens_a_pass']:.1f} tokens a pass"
    return (
        f"{report['tokens_per_second']:.1f} tokens/s, first token {report['time_to_first_token_s']:.2f} s"
        f"{read}, {readable(_bytes(report['footprint_bytes']))} peak"
    )


def _sources(drafters: dict[str, dict[str, int]]) -> str:
    """Those of a draft model."""
    models = [f"{name}: {counts['accepted']} of {counts['drafted']}"
              for name, counts in drafters.items() if name not in (LOOKUP, CERTAIN)]  # fmt: skip
    return f" ({', '.join(models)})" if models else ""


def _bytes(value: object) -> int:
    return value if isinstance(value, int) else 0


def generation_report(loaded: "LoadedModel", summary: "Summary") -> dict[str, object]:
    """The object that `generate --json` prints."""
    return {
        "text": summary.text,
        "reasoning": summary.reasoning,
        "reasoning_tokens": summary.reasoning_tokens,
        "tool_calls": summary.tool_calls,
        "prompt_tokens": summary.prompt_tokens,
        "tokens": summary.tokens,
        "finish_reason": summary.finish_reason,
        "time_to_first_token_s": summary.time_to_first_token_s,
        "time_to_first_answer_s": summary.time_to_first_answer_s,
        "tokens_per_second": summary.tokens_per_second,
        "footprint_bytes": summary.footprint_bytes,
        "baseline_bytes": loaded.baseline_bytes,
        "budget_bytes": loaded.budget.ceiling,
        "budget_items": loaded.budget.items,
        "model_bytes": loaded.model_bytes,
        "flash_bytes": loaded.flash_bytes,
        "direct_io": loaded.direct_io,
        "window": loaded.settings.window,
        "left_early": summary.left_early,
        "reader": asdict(loaded.reader.statistics()),
        "overlap": summary.overlap,
        "drafts": {
            "passes": summary.passes,
            "drafted": summary.drafted,
            "accepted": summary.accepted,
            "tokens_a_pass": summary.tokens_a_pass,
            "by": {name: {"drafted": d, "accepted": a} for name, (d, a) in summary.drafters.items()},
            "model": str(loaded.drafting.reason) if loaded.drafting else "",
        },
        "prefill": {"seconds": summary.prefill_seconds, "bytes_read": summary.prefill_bytes_read},
        "per_token": per_token(summary.per_token),
    }


def per_token(means: dict[str, float]) -> dict[str, Any]:
    """The means of a token; where bundles are experts, these together: needed, read, in memory, and all there are."""
    if "all_experts" not in means:
        return dict(means)
    names = {"active": "active", "loaded": "loaded", "resident": "resident", "of": "all"}
    experts = {name: means[f"{key}_experts"] for name, key in names.items()}
    return {name: mean for name, mean in means.items() if not name.endswith("_experts")} | {"experts": experts}
