"""`flashbulb generate`: an answer to a prompt."""

import sys
from dataclasses import asdict

from engine.cli.arguments import settings_of
from engine.cli.output import print_json
from engine.settings import GenerationOptions
from engine.text import readable


# ------------------------------------------------------------------------------------------------ commands
def run_generate(args) -> None:
    from engine.inference.load import load

    options = options_of(args)  # before a model is loaded for them
    model = load(args.model, settings_of(args))
    try:
        prompt = args.prompt if args.raw else [{"role": "user", "content": args.prompt}]
        generation = model.generate(prompt, options)
        for piece in generation:
            if not args.json:
                print(piece.text, end="", flush=True)
        report = generation_report(model, generation.summary)
    finally:
        model.close()
    if args.json:
        print_json(report)
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


def options_of(args) -> GenerationOptions:
    """What was asked for. Raises OptionError."""
    fields = {name: getattr(args, name) for name in GenerationOptions.__dataclass_fields__ if hasattr(args, name)}
    return GenerationOptions(**fields)


def generation_report(model, summary) -> dict:
    """What `generate --json` prints."""
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
