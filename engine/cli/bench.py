"""`flashbulb bench`: drive, compute, table2, table3, window, report."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from engine.cli.arguments import DTYPES, MODEL_HELP, Commands, add_json, folder, path, positive, size
from engine.cli.arguments import model as model_name
from engine.cli.output import Progress, Say, in_lines, note, print_json, say
from engine.errors import FlashbulbError
from engine.text import readable

if TYPE_CHECKING:
    from engine.bench.results import Result
    from engine.flash.profile import DriveProfile

HELD_OUT = Path(__file__).parents[2] / "resources" / "starter" / "heldout.jsonl.gz"
DRIVE_HELP = "measures the drive first, where that was not done"
SHAPES = ("opt-125m", "opt-1.3b", "opt-2.7b", "opt-6.7b", "falcon-1.3b", "falcon-7b", "llama-2-7b")
EXPERT_SHAPES = ("qwen3-30b-a3b", "qwen3.5-35b-a3b", "gpt-oss-20b", "olmoe-1b-7b", "gemma-4-26b-a4b", "glm-4.5-air")
LONG_ROWS = ("naive", "+ coalescing and gap reads")  # with hot neurons, a trace this long would be in memory whole
REPORT_PARTS = (  # of the report: name of its file, title, and how it is measured
    ("drive", "The drive (paper, fig. 2b)"),
    ("table2-opt-6.7b", "Table 2: I/O of a token, OPT 6.7B"),
    ("table3-opt-1.3b-float32", "Table 3: OPT 1.3B, float32, in half of its memory"),
    ("table3-opt-1.3b-bfloat16", "Table 3: OPT 1.3B, bfloat16, in half of its memory"),
    ("table3-falcon-1.3b-float32", "Table 3: a Falcon of 1.3B, float32, in half of its memory"),
    ("table3-opt-2.7b-bfloat16", "Table 3: OPT 2.7B, bfloat16, in half of its memory"),
    ("long-opt-125m-bfloat16", "A conversation of 2,000 tokens: OPT 125M, bfloat16"),
    ("table3-starter", "Table 3: the starter model"),
    ("window-starter", "Windows and budgets: the starter model (paper, figs. 4 and 7)"),
)


class Report(Protocol):
    """Takes how much of the work is done, and a word on what is being done."""

    def __call__(self, share: float, note: str = ..., /) -> None: ...


Benchmark = Callable[[Namespace, Report], "Result"]


def add_to(commands: Commands) -> None:
    """Add `bench` to the command line."""
    bench = commands.add_parser("bench", help="measure the drive, and the paper's tables on this machine")
    actions = bench.add_subparsers(required=True, metavar="BENCHMARK")
    for add in (
        _add_drive,
        _add_compute,
        _add_table2,
        _add_table3,
        _add_experts,
        _add_dense,
        _add_resident,
        _add_drafts,
        _add_window,
        _add_budget,
        _add_checkpoint,
        _add_report,
    ):
        add(actions)


def _add_drive(actions: Commands) -> None:
    drive = actions.add_parser("drive", help="throughput by read size and threads; saved for the reader's use")
    drive.add_argument("--quick", action="store_true", help="half a minute instead of two, on a file of 512 MiB")
    drive.add_argument("--progress", action="store_true", help="a line of JSON for each step, for programs")
    _add_place(drive)
    drive.set_defaults(run=partial(_show, "drive", _drive))


def _add_table2(actions: Commands) -> None:
    table2 = actions.add_parser("table2", help=f"I/O of a token as the paper's techniques are added; {DRIVE_HELP}")
    table2.add_argument("--shape", choices=SHAPES, default="opt-6.7b", help="of which model (default %(default)s)")
    table2.add_argument("--tokens", type=positive, default=8, metavar="N",
                        help="of a run, of which there are three (default %(default)s)")  # fmt: skip
    table2.add_argument("--bits", type=int, choices=(8, 4), help="of neurons, quantised; by default they are not")
    _add_dtype(table2, "bfloat16")
    _add_place(table2)
    table2.set_defaults(run=partial(_show, "table2", _table2))


def _add_compute(actions: Commands) -> None:
    compute = actions.add_parser("compute", help="products with weights of every kind, against the rate of memory")
    add_json(compute)
    compute.set_defaults(run=partial(_show, "compute", _compute))


def _add_table3(actions: Commands) -> None:
    table3 = actions.add_parser(
        "table3", help=f"whole tokens: naive, hybrid, the paper's techniques, ours; {DRIVE_HELP}"
    )
    what = table3.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", type=model_name, metavar="MODEL", help=MODEL_HELP)
    what.add_argument("--shape", choices=SHAPES, help="random weights of this size, instead of a model")
    table3.add_argument("--tokens", type=positive, default=32, metavar="N", help="of a run (default %(default)s)")
    table3.add_argument("--context", type=positive, default=128, metavar="N",
                        help="tokens, of a shape (default %(default)s)")  # fmt: skip
    table3.add_argument("--memory-budget", type=size, metavar="6GB", help="of a model; by default, half of it")
    table3.add_argument("--no-cap", action="store_true", help="keep to the budget without a control group")
    _add_dtype(table3, "bfloat16")
    _add_reading(table3)
    _add_place(table3)
    table3.set_defaults(run=partial(_show, "table3", _table3))


def _add_experts(actions: Commands) -> None:
    experts = actions.add_parser(
        "experts", help=f"a mixture-of-experts model in half of its memory, as what we do is added; {DRIVE_HELP}"
    )
    experts.add_argument("--shape", choices=EXPERT_SHAPES, default="olmoe-1b-7b",
                         help="random weights of this size (default %(default)s)")  # fmt: skip
    experts.add_argument("--layers", type=positive, metavar="N", help="of the shape; by default, all")
    experts.add_argument("--tokens", type=positive, default=48, metavar="N", help="of a run (default %(default)s)")
    experts.add_argument("--memory", type=size, metavar="6GB", help="of the process; by default, half of the model")
    experts.add_argument("--context", type=positive, metavar="N",
                         help="of tokens: what room for all of them costs (by default not measured)")  # fmt: skip
    experts.add_argument("--no-cap", action="store_true", help="keep to the budget without a control group")
    _add_place(experts)
    experts.set_defaults(run=partial(_show, "experts", _experts))


def _add_dense(actions: Commands) -> None:
    dense = actions.add_parser(
        "dense", help="a dense model of 3B in half of its memory against its floor, and all in memory against mlx_lm"
    )
    dense.add_argument("--tokens", type=positive, default=12, metavar="N", help="of each row (default %(default)s)")
    _add_place(dense)
    dense.set_defaults(run=partial(_show, "dense", _dense))


def _add_resident(actions: Commands) -> None:
    resident = actions.add_parser("resident", help="a model that is all in memory, beside mlx_lm's own, in turns")
    resident.add_argument("model", type=model_name, metavar="MODEL", help=MODEL_HELP)
    resident.add_argument("--tokens", type=positive, default=4, metavar="N", help="of a turn (default %(default)s)")
    resident.add_argument("--turns", type=positive, default=6, metavar="N", help="of each (default %(default)s)")
    add_json(resident)
    resident.set_defaults(run=partial(_show, "resident", _resident))


def _add_drafts(actions: Commands) -> None:
    drafts = actions.add_parser(
        "drafts", help="a dense model of 3B in half of its memory, with drafts and without, on text of two kinds"
    )
    drafts.add_argument("--tokens", type=positive, default=64, metavar="N", help="of an answer (default %(default)s)")
    drafts.add_argument("--turns", type=positive, default=2, metavar="N", help="answers each way (default %(default)s)")
    drafts.add_argument("--experts", choices=EXPERT_SHAPES, help="a model of experts; by default, a dense one of 3B")
    _add_place(drafts)
    drafts.set_defaults(run=partial(_show, "drafts", _drafts))


def _add_window(actions: Commands) -> None:
    window = actions.add_parser(
        "window", help=f"neurons against the window, and speed against the memory budget; {DRIVE_HELP}"
    )
    window.add_argument("model", type=model_name, metavar="MODEL", help=MODEL_HELP)
    _add_reading(window)
    _add_place(window)
    window.set_defaults(run=partial(_show, "window", _window))


def _add_budget(actions: Commands) -> None:
    budget = actions.add_parser("budget", help="whether the memory budget is kept while contexts are filled")
    _add_place(budget)
    budget.set_defaults(run=partial(_show, "budget", _budget))


def _add_checkpoint(actions: Commands) -> None:
    checkpoint = actions.add_parser("checkpoint", help="write random weights of a real size, to try `prepare` on")
    checkpoint.add_argument("out", type=path, metavar="FOLDER", help="the folder that is made")
    shapes = [name for name in SHAPES if name.startswith("opt-")]
    checkpoint.add_argument("--shape", choices=shapes, default="opt-1.3b", help="of which model (default %(default)s)")
    _add_dtype(checkpoint, "float16")
    checkpoint.set_defaults(run=_checkpoint)


def _add_report(actions: Commands) -> None:
    report = actions.add_parser("report", help=f"all of them, as one page with plots; {DRIVE_HELP}")
    report.add_argument("out", type=path, metavar="FOLDER", help="keeps the results; what it has is not measured again")
    report.add_argument("--again", action="store_true", help="measure everything anew")
    names = [name for name, _ in REPORT_PARTS]
    report.add_argument("--only", nargs="+", choices=names, metavar="PART",
                        help=f"some of {', '.join(names)}; by default all")  # fmt: skip
    _add_place(report)
    report.set_defaults(run=_report)


def _add_dtype(parser: ArgumentParser, default: str) -> None:
    parser.add_argument("--dtype", choices=DTYPES, default=default, help="of a shape's weights (default %(default)s)")


def _add_reading(parser: ArgumentParser) -> None:
    parser.add_argument("--text", type=path, metavar="FILE", help="what a model reads; by default, talk of our own")
    parser.add_argument(
        "--window", type=positive, default=5, metavar="K", help="tokens, of a model (default %(default)s)"
    )


def _add_place(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--folder", type=folder, help="where to write, and which drive to measure; by default, the models'"
    )
    parser.add_argument("--cached", action="store_true", help="also where reads cannot go past the system's cache")
    add_json(parser)


def _show(name: str, benchmark: Benchmark, args: Namespace) -> None:
    """Run a benchmark and print its table."""
    if getattr(args, "progress", False):
        in_lines(partial(_in_steps, benchmark, args))
        return
    with Progress(f"bench {name}", not args.json) as progress:
        result = benchmark(args, progress).to_dict()
    if args.json:
        print_json(result)
    else:
        _print_result(result)


def _in_steps(benchmark: Benchmark, args: Namespace, say_line: Say) -> dict[str, object]:
    benchmark(args, lambda share, note="": say_line(stage="measuring", share=share, note=note))
    return {}


def _print_result(result: dict[str, Any]) -> None:
    from engine.bench.results import markdown

    machine = result["machine"]
    say(f"{machine['processor']}, drive {machine['drive']}, {machine['system']}")
    say(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result["settings"].items()))
    say(markdown(result["rows"]))
    for row in result["rows"]:
        if "note" in row:
            say(f"{row['name']}: {row['note']}")


def _checkpoint(args: Namespace) -> None:
    from engine.bench.random_model import write_random_checkpoint
    from engine.bench.shapes import SHAPES as KNOWN
    from engine.inference.load import find

    write_random_checkpoint(args.out, KNOWN[args.shape].config, args.dtype, find("starter"))
    say(f"{args.out} is ready.")


def _folder(args: Namespace) -> Path:
    """The folder to write to."""
    from engine.system.folders import models_folder

    return args.folder or models_folder()


def _profile(args: Namespace, progress: Report) -> "DriveProfile":
    """The drive's saved profile, which most figures are compared with; measured now if there is none."""
    from engine.flash.profile import DriveProfile, profile_path

    profile = DriveProfile.load(profile_path(_folder(args)))
    if profile is None:
        note("The drive was not measured yet: that is done first, in half a minute or so (`bench drive` takes longer).")
        _drive(Namespace(folder=args.folder, cached=args.cached, quick=True), progress)
        profile = DriveProfile.load(profile_path(_folder(args)))
    if profile is None:
        raise FlashbulbError("The drive of {folder} could not be measured.", folder=_folder(args))
    return profile


def _budget(args: Namespace, progress: Report) -> "Result":
    from engine.bench.budget import run

    return run(_folder(args), progress)


def _drive(args: Namespace, progress: Report) -> "Result":
    from engine.bench.drive import QUICK_OPTIONS, measure_drive
    from engine.flash.profile import profile_path

    extent = QUICK_OPTIONS if args.quick else {}
    profile, result = measure_drive(_folder(args), cached=args.cached, progress=progress, **extent)
    profile.save(profile_path(_folder(args)))
    return result


def _table2(args: Namespace, progress: Report) -> "Result":
    from engine.bench.table2 import run

    return run(args.shape, _folder(args), _profile(args, progress), args.tokens, dtype=args.dtype, cached=args.cached,
               bits=args.bits, progress=progress)  # fmt: skip


def _table3(args: Namespace, progress: Report) -> "Result":
    from engine.bench.table3 import ROW_NAMES, run_model, run_shape

    profile, place = _profile(args, progress), _folder(args)
    if args.shape:
        rows = getattr(args, "rows", ROW_NAMES)
        return run_shape(args.shape, place, profile, args.dtype, args.tokens, not args.no_cap, context=args.context,
                         rows=rows, progress=progress)  # fmt: skip
    return run_model(args.model, place, profile, text(args.model, args.text, 64), args.tokens, args.window,
                     args.memory_budget, progress)  # fmt: skip


def _compute(_args: Namespace, progress: Report) -> "Result":
    from engine.bench.compute import run

    return run(progress=progress)


def _experts(args: Namespace, progress: Report) -> "Result":
    from engine.bench.experts import run_shape

    return run_shape(args.shape, _folder(args), _profile(args, progress), args.layers, args.tokens, not args.no_cap,
                     args.memory, args.context, progress)  # fmt: skip


def _dense(args: Namespace, progress: Report) -> "Result":
    from engine.bench.dense import run

    return run(_folder(args), tokens=args.tokens, progress=progress)


def _resident(args: Namespace, progress: Report) -> "Result":
    from engine.bench.resident import run

    return run(args.model, args.tokens, args.turns, progress)


def _drafts(args: Namespace, progress: Report) -> "Result":
    from engine.bench.drafts import run, run_experts, texts
    from engine.inference.load import find
    from engine.store.mlx_folder import MlxFolder
    from engine.system.built_in import ASSISTANT
    from engine.tokens.corpus import talk
    from engine.tokens.tokenizer import read_tokenizer

    assistant = MlxFolder.open(find(ASSISTANT))
    tokenizer = read_tokenizer(assistant.folder, assistant.config)
    assert tokenizer is not None  # the assistant has one
    said = texts(tokenizer, talk(HELD_OUT))
    if args.experts:
        return run_experts(args.experts, _folder(args), said, args.tokens, args.turns, progress=progress)
    return run(_folder(args), said, tokens=args.tokens, turns=args.turns, progress=progress)


def _window(args: Namespace, progress: Report) -> "Result":
    from engine.bench.window import run

    return run(args.model, _folder(args), _profile(args, progress), text(args.model, args.text, 512),
               window=args.window, progress=progress)  # fmt: skip


def text(model: str, file: Path | None, tokens: int) -> list[int]:
    """The first tokens of a text: the starter's held-out conversations, unless a file is named."""
    from engine.inference.load import find
    from engine.store.manifest import PreparedModel
    from engine.tokens.corpus import Corpus
    from engine.tokens.tokenizer import read_tokenizer

    prepared = PreparedModel.open(find(model))
    tokenizer = read_tokenizer(prepared.folder, prepared.config)
    if tokenizer is None:
        raise FlashbulbError("{model} has no tokenizer, so it cannot read a text.", model=model)
    return [t for sequence in Corpus.read(file or HELD_OUT).sequences(tokenizer) for t in sequence.tokens][:tokens]


def _report(args: Namespace) -> None:
    from engine.bench.report import Part, collect, write

    titles = dict(REPORT_PARTS)
    with Progress("bench report", not args.json) as progress:
        parts = [Part(name, titles[name], partial(_part, name, args, progress)) for name in args.only or titles]
        page = write(args.out, collect(args.out, parts, args.again))
    if args.json:
        print_json({"page": str(page)})
    else:
        bytes_there = sum(file.stat().st_size for file in args.out.iterdir())
        say(f"{page} is ready ({readable(bytes_there)} with its plots and figures).")


def _part(name: str, args: Namespace, progress: Report) -> "Result":
    """Measure one part of the report, with the settings that it is defined by."""
    common: dict[str, Any] = {
        "folder": args.folder,
        "cached": args.cached,
        "text": None,
        "window": 5,
        "memory_budget": None,
    }
    common |= {"no_cap": False, "context": 128, "tokens": 32, "shape": None, "model": "starter"}
    kind, _, rest = name.partition("-")
    shape, _, dtype = rest.rpartition("-")
    if kind == "drive":
        return _drive(Namespace(**common | {"quick": False}), progress)
    if kind == "table2":
        return _table2(Namespace(**common | {"shape": rest, "dtype": "bfloat16", "tokens": 8, "bits": None}), progress)
    if kind == "long":
        long = {"shape": shape, "dtype": dtype, "tokens": 2000, "context": 2048, "rows": LONG_ROWS}
        return _table3(Namespace(**common | long), progress)
    if kind == "table3" and rest != "starter":
        return _table3(Namespace(**common | {"shape": shape, "dtype": dtype}), progress)
    return (_table3 if kind == "table3" else _window)(Namespace(**common), progress)
