"""`flashbulb models`: what there is, what is on disk, and getting and removing it."""

import sys
from dataclasses import asdict
from functools import partial

from engine.errors import CheckpointError, FlashbulbError, GatedError
from engine.system.folders import free_bytes, given_path
from engine.text import readable, text_of, to_line


def add_to(commands, bar, print_json) -> None:
    """Add `models` to the command line. bar, print_json: how that shows progress and prints an object."""
    models = commands.add_parser("models", help="list, download and remove models")
    models.add_argument("--json", action="store_true")
    models.set_defaults(run=partial(_list, print_json))
    actions = models.add_subparsers(metavar="ACTION")
    repo = {"metavar": "REPO", "help": "a repository on the Hugging Face Hub, such as facebook/opt-125m"}

    show = actions.add_parser("show", help="what a model is and what getting it would take; asks the Hub")
    show.add_argument("repo", **repo)
    show.set_defaults(run=partial(_show, print_json))

    get = actions.add_parser("get", help="download a model and prepare it; again to go on after an interruption")
    get.add_argument("repo", **repo)
    get.add_argument("--calibration", type=given_path, metavar="FILE", help="as for `prepare`")
    get.add_argument("--dtype", choices=("float32", "float16", "bfloat16"))
    get.set_defaults(run=partial(_get, bar, print_json))
    for action in (show, get):
        action.add_argument("--revision", metavar="R", help="a branch, tag or commit, the main branch by default")
        action.add_argument(
            "--progress", action="store_true", help="say on standard output what happens, as lines of JSON"
        )

    remove = actions.add_parser("remove", help="delete a model, and what was downloaded of it, from the disk")
    remove.add_argument("repo", **repo)
    remove.set_defaults(run=partial(_remove, print_json))
    for action in (show, get, remove):
        action.add_argument("--json", action="store_true")


def _list(print_json, args) -> None:
    from engine.library.begun import unfinished
    from engine.library.catalogue import catalogue
    from engine.store.installed import installed
    from engine.system.folders import models_folder

    whole, parts, known = installed(), unfinished(), catalogue()
    if args.json:
        on_disk = [asdict(model) | {"folder": str(model.folder)} for model in whole]
        begun = [asdict(model) for model in parts]
        print_json({"folder": str(models_folder()), "installed": on_disk, "unfinished": begun,
                    "catalogue": known})  # fmt: skip
        return
    print(f"On disk, in {models_folder()}:")
    for model in whole:
        print(f"  {model.repo:<42} {readable(model.bytes):>8}")
    for model in parts:
        amount = f"{readable(model.done)} of {readable(model.total)}"
        print(f"  {model.repo:<42} {amount}, unfinished: `flashbulb models get {model.repo}` goes on")
    if not whole and not parts:
        print("  nothing yet; `starter` is built in")
    print("\nCatalogue (sparsity and sizes as published; `flashbulb models show REPO` asks the Hub):")
    print(f"  {'repository':<42} {'parameters':>10} {'weights':>8} {'sparsity':>8}  {'runs':<8} licence")
    for model in known:
        print(f"  {_line(model)}")


def _line(model: dict) -> str:
    parameters = readable(model["parameters"]).removesuffix("B").rstrip(" ").replace("G", "B")
    size = readable(model["bytes"]) if model["bytes"] else "-"
    sparsity = f"{100 * model['sparsity']:.3g} %" if model["sparsity"] else "-"
    licence = model["licence"] or "see its page"
    runs = "yes" if model["supported"] else "not yet"
    return f"{model['repo']:<42} {parameters:>10} {size:>8} {sparsity:>8}  {runs:<8} {licence}"


def _show(print_json, args) -> None:
    from engine.library.catalogue import catalogue
    from engine.library.getting import plan_for
    from engine.system.folders import models_folder

    if args.progress:
        _in_lines(partial(_look_up, args.repo, args.revision))
        return
    entry = next((model for model in catalogue() if model["repo"] == args.repo), None)
    plan = plan_for(args.repo, args.revision)
    folder = models_folder()
    if args.json:
        print_json({"catalogue": entry, "plan": _plan_report(plan), "free_bytes": free_bytes(folder)})
        return
    _print_plan(plan)
    for name, source in (entry or {}).get("sources", {}).items():
        figure = f"{entry[name]} " if entry[name] is not None else ""
        print(f"{name}: {figure}({source})")
    if entry and entry["needs"]:
        print(f"needs {entry['needs']}")


def _plan_report(plan) -> dict:
    from engine.library.begun import checkpoint_folder

    needed = plan.needed(checkpoint_folder(plan.repo))
    return asdict(plan) | {"bytes": plan.bytes, "weight_bytes": plan.weight_bytes, "needed_bytes": needed}


def _print_plan(plan, file=None) -> None:
    from engine.library.begun import checkpoint_folder

    checkpoint = checkpoint_folder(plan.repo)
    licence = f"licence {plan.licence}" if plan.licence else f"licence: see {plan.page}"
    there = plan.fetched(checkpoint)
    print(f"{plan.repo} at {plan.commit[:12]}, {licence}{', gated' if plan.gated else ''}", file=file)
    for remote in plan.files:
        print(f"  {remote.name:<42} {readable(remote.bytes):>10}", file=file)
    print(
        f"{readable(plan.bytes)} to download{f', {readable(there)} of it already here' if there else ''}. "
        f"Needs {readable(plan.needed(checkpoint))} of disk until it is prepared; "
        f"{readable(free_bytes(checkpoint))} are free.",
        file=file,
    )


def _look_up(repo: str, revision: str | None, _say) -> dict:
    """What a repository is. config: as published, None where it may not be read. refused: why it cannot be prepared."""
    from engine.library.getting import config_of, plan_for
    from engine.models import architecture

    plan = plan_for(repo, revision)
    config, refused = config_of(plan), ""
    try:
        if config is not None:
            architecture(config)
    except CheckpointError as error:
        refused = text_of(error)
    return {"plan": _plan_report(plan), "config": config, "refused": refused}


def _download_and_prepare(args, say) -> dict:
    """An absolute path is that of a checkpoint which is on disk already, and only prepared."""
    from engine.library.getting import get, plan_for
    from engine.library.local import add
    from engine.store.installed import folder_of

    def preparing(stage: str, share: float) -> None:
        say(stage="preparing", share=share, note=stage)

    options = {"calibration": args.calibration, "dtype": args.dtype}
    if (path := given_path(args.repo)).is_absolute():
        return {"folder": str(add(path, preparing, **options))}
    folder = folder_of(args.repo) or get(
        plan_for(args.repo, args.revision),
        lambda p: say(stage=p.stage, done=p.done, total=p.total, rate=p.rate, note=p.note),
        preparing,
        **options,
    )
    return {"folder": str(folder)}


def _in_lines(work) -> None:
    """For a program that runs us: a line of JSON for each step, the last with what `work(say)` returns or the error."""

    def say(**line) -> None:
        print(to_line(line), flush=True)

    try:
        say(stage="done", **work(say))
    except FlashbulbError as error:
        say(stage="failed", error=text_of(error), page=error.page if isinstance(error, GatedError) else "")
        raise


def _get(bar, print_json, args) -> None:
    from engine.library.download import describe
    from engine.library.getting import get, plan_for
    from engine.store.installed import folder_of

    if args.progress:
        _in_lines(partial(_download_and_prepare, args))
        return
    if folder := folder_of(args.repo):
        print_json({"folder": str(folder)}) if args.json else print(f"{args.repo} is ready in {folder}.")
        return
    plan = plan_for(args.repo, args.revision)
    if not args.json:
        _print_plan(plan)
    wanted = not args.json
    options = {"calibration": args.calibration, "dtype": args.dtype}
    try:
        with bar("downloading", wanted) as fetching, bar("preparing", wanted) as preparing:
            folder = get(
                plan,
                lambda p: fetching(p.done / max(p.total, 1), describe(p)),
                lambda stage, share: preparing(share, stage),
                **options,
            )
    except KeyboardInterrupt:
        print(f"\nPaused. `flashbulb models get {args.repo}` goes on, `remove` gives it up.", file=sys.stderr)
        raise
    if args.json:
        print_json({"folder": str(folder), "plan": _plan_report(plan)})
        return
    print(f"{args.repo} is ready in {folder}.")


def _remove(print_json, args) -> None:
    from engine.library.removing import remove

    freed = remove(args.repo)
    if args.json:
        print_json({"freed_bytes": freed})
        return
    print(f"{args.repo} is removed: {readable(freed)} freed.")
