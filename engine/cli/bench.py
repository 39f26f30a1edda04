"""`flashbulb bench`: drive, table2, table3, window, report."""

from functools import partial
from pathlib import Path

from engine.errors import FlashbulbError
from engine.system.folders import given_path
from engine.text import readable, text_of, to_line

HELD_OUT = Path(__file__).parents[2] / "resources" / "starter" / "heldout.jsonl.gz"
DTYPES = ("float32", "bfloat16", "float16")
LONG_ROWS = ("naive", "+ coalescing and gap reads")  # with hot neurons, a trace this long would be in memory whole
PARTS = (  # of the report: name of its file, title, and how it is measured
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


def add_to(commands, bar, print_json, positive, size) -> None:
    """Add `bench` to the command line. bar, print_json: how that shows progress and prints an object. positive, size:
    how it reads a number and an amount of memory."""
    bench = commands.add_parser("bench", help="measure the drive, and the paper's tables on this machine")
    actions = bench.add_subparsers(required=True, metavar="BENCHMARK")

    drive = actions.add_parser("drive", help="throughput by read size and threads; saved for the reader's use")
    drive.add_argument("--quick", action="store_true", help="half a minute instead of two, on a file of 512 MiB")
    drive.add_argument("--progress", action="store_true", help="a line of JSON for each step, for programs")
    drive.set_defaults(benchmark=_drive)

    shapes = ("opt-125m", "opt-1.3b", "opt-2.7b", "opt-6.7b", "falcon-7b", "llama-2-7b")
    table2 = actions.add_parser("table2", help="I/O of a token as the paper's techniques are added")
    table2.add_argument("--shape", choices=shapes, default="opt-6.7b")
    table2.add_argument("--tokens", type=positive, default=8, metavar="N", help="of a run; there are three")
    table2.set_defaults(benchmark=_table2)

    table3 = actions.add_parser("table3", help="whole tokens: naive, hybrid, the paper's techniques, ours")
    what = table3.add_mutually_exclusive_group(required=True)
    what.add_argument("model", nargs="?", metavar="MODEL", help="a prepared model's folder, or `starter`")
    what.add_argument("--shape", choices=shapes)
    table3.add_argument("--tokens", type=positive, default=32, metavar="N")
    table3.add_argument("--context", type=positive, default=128, metavar="N", help="tokens, of a shape")
    table3.add_argument("--memory-budget", type=size, metavar="6GB", help="of a model")
    table3.add_argument("--no-cap", action="store_true", help="keep to the budget without a control group")
    table3.set_defaults(benchmark=_table3)
    for table in (table2, table3):
        table.add_argument("--dtype", choices=DTYPES, default="bfloat16", help="of a shape's weights")

    window = actions.add_parser("window", help="neurons against the window, and speed against the memory budget")
    window.add_argument("model", metavar="MODEL", help="a prepared model's folder, or `starter`")
    window.set_defaults(benchmark=_window)
    for action in (table3, window):
        action.add_argument(
            "--text", type=given_path, metavar="FILE", help="what a model reads; built-in talk by default"
        )
        action.add_argument("--window", type=positive, default=5, metavar="K", help="tokens, of a model")

    checkpoint = actions.add_parser("checkpoint", help="write random weights of a real size, to try `prepare` on")
    checkpoint.add_argument("out", type=given_path, metavar="FOLDER")
    checkpoint.add_argument("--shape", choices=[name for name in shapes if name.startswith("opt-")], default="opt-1.3b")
    checkpoint.add_argument("--dtype", choices=DTYPES, default="float16")
    checkpoint.set_defaults(run=_checkpoint)

    report = actions.add_parser("report", help="all of them, as one page with plots")
    report.add_argument(
        "out", type=given_path, metavar="FOLDER", help="keeps the results; what it has is not measured again"
    )
    report.add_argument("--again", action="store_true", help="measure everything anew")
    names = [name for name, _ in PARTS]
    report.add_argument("--only", nargs="+", choices=names, metavar="PART", help=f"some of {', '.join(names)}")
    report.set_defaults(run=partial(_report, bar, print_json))

    for action in (drive, table2, table3, window):
        action.set_defaults(run=partial(_show, bar, print_json))
    for action in (drive, table2, table3, window, report):
        action.add_argument(
            "--folder", type=given_path, help="where to write, and which drive to measure: of the models"
        )
        action.add_argument("--cached", action="store_true", help="also where reads cannot go past the system's cache")
        action.add_argument("--json", action="store_true")


def _show(bar, print_json, args) -> None:
    from engine.bench.results import markdown

    if getattr(args, "progress", False):
        _say_lines(args)
        return
    with bar(f"bench {args.benchmark.__name__.strip('_')}", not args.json) as progress:
        result = args.benchmark(args, progress).to_dict()
    if args.json:
        print_json(result)
        return
    machine = result["machine"]
    print(f"{machine['processor']}, drive {machine['drive']}, {machine['system']}")
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in result["settings"].items()))
    print(markdown(result["rows"]))
    for row in result["rows"]:
        if "note" in row:
            print(f"{row['name']}: {row['note']}")


def _say_lines(args) -> None:
    """For a program that runs us: a line of JSON for each step, the last with the end or the error."""

    def say(**line) -> None:
        print(to_line(line), flush=True)

    try:
        args.benchmark(args, lambda share, note: say(stage="measuring", share=share, note=note))
        say(stage="done")
    except FlashbulbError as error:
        say(stage="failed", error=text_of(error))
        raise


def _checkpoint(args) -> None:
    from engine.bench.random_model import write_random_checkpoint
    from engine.bench.shapes import SHAPES
    from engine.inference.load import find

    write_random_checkpoint(args.out, SHAPES[args.shape].config, args.dtype, find("starter"))
    print(f"{args.out} is ready.")


def _folder(args) -> Path:
    from engine.system.folders import models_folder

    return args.folder or models_folder()


def _profile(args):
    """The drive's saved profile. Raises FlashbulbError without one: most figures are compared with it."""
    from engine.flash.profile import DriveProfile, profile_path

    profile = DriveProfile.load(profile_path(_folder(args)))
    if profile is None:
        raise FlashbulbError(
            "The drive of {folder} was not measured yet. Run `flashbulb bench drive` first.", folder=_folder(args)
        )
    return profile


def _drive(args, progress):
    from engine.bench.drive import QUICK, measure_drive
    from engine.flash.profile import profile_path

    extent = QUICK if args.quick else {}
    profile, result = measure_drive(_folder(args), cached=args.cached, progress=progress, **extent)
    profile.save(profile_path(_folder(args)))
    return result


def _table2(args, progress):
    from engine.bench.table2 import run

    return run(args.shape, _folder(args), _profile(args), args.tokens, dtype=args.dtype, cached=args.cached,
               progress=progress)  # fmt: skip


def _table3(args, progress):
    from engine.bench.table3 import ROWS, run_model, run_shape

    profile, folder = _profile(args), _folder(args)
    if args.shape:
        rows = getattr(args, "rows", tuple(name for name, _, _ in ROWS))
        return run_shape(args.shape, folder, profile, args.dtype, args.tokens, not args.no_cap, context=args.context,
                         rows=rows, progress=progress)  # fmt: skip
    return run_model(args.model, folder, profile, text(args.model, args.text, 64), args.tokens, args.window,
                     args.memory_budget, progress)  # fmt: skip


def _window(args, progress):
    from engine.bench.window import run

    return run(args.model, _folder(args), _profile(args), text(args.model, args.text, 512), window=args.window,
               progress=progress)  # fmt: skip


def text(model: str, path: Path | None, tokens: int) -> list[int]:
    """The first tokens of a text: the starter's held-out conversations, unless a file is named."""
    from engine.inference.load import find
    from engine.store.manifest import PreparedModel
    from engine.tokens.corpus import read_sequences
    from engine.tokens.tokenizer import read_tokenizer

    prepared = PreparedModel.open(find(model))
    tokenizer = read_tokenizer(prepared.folder, prepared.config)
    if tokenizer is None:
        raise FlashbulbError("{model} has no tokenizer, so it cannot read a text.", model=model)
    return [t for sequence in read_sequences(path or HELD_OUT, tokenizer) for t in sequence.tokens][:tokens]


def _report(bar, print_json, args) -> None:
    from engine.bench.report import Part, collect, write

    titles = dict(PARTS)
    with bar("bench report", not args.json) as progress:
        parts = [Part(name, titles[name], partial(_part, name, args, progress)) for name in args.only or titles]
        page = write(args.out, collect(args.out, parts, args.again))
    if args.json:
        print_json({"page": str(page)})
    else:
        size = sum(path.stat().st_size for path in args.out.iterdir())
        print(f"{page} is ready ({readable(size)} with its plots and figures).")


def _part(name: str, args, progress):
    """Measure one part of the report, with the settings that it is defined by."""
    from argparse import Namespace

    common = {"folder": args.folder, "cached": args.cached, "text": None, "window": 5, "memory_budget": None}
    common |= {"no_cap": False, "context": 128, "tokens": 32, "shape": None, "model": "starter"}
    kind, _, rest = name.partition("-")
    shape, _, dtype = rest.rpartition("-")
    if kind == "drive":
        return _drive(Namespace(**common | {"quick": False}), progress)
    if kind == "table2":
        return _table2(Namespace(**common | {"shape": rest, "dtype": "bfloat16", "tokens": 8}), progress)
    if kind == "long":
        long = {"shape": shape, "dtype": dtype, "tokens": 2000, "context": 2048, "rows": LONG_ROWS}
        return _table3(Namespace(**common | long), progress)
    if kind == "table3" and rest != "starter":
        return _table3(Namespace(**common | {"shape": shape, "dtype": dtype}), progress)
    return (_table3 if kind == "table3" else _window)(Namespace(**common), progress)
