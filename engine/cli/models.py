"""`flashbulb models`: what there is, what is on disk, and getting and removing it."""

import getpass
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.arguments import Commands, add_json, standard_input, text
from engine.cli.output import Progress, Say, in_lines, note, print_json, say
from engine.cli.prepare import add_preparing
from engine.errors import CheckpointError, HubError
from engine.system.built_in import built_in, built_in_named
from engine.system.folders import free_bytes
from engine.text import readable, text_of

if TYPE_CHECKING:
    from engine.library.catalogue import CatalogueModel
    from engine.library.hub import Found, Plan
    from engine.store.others import OtherCheckpoint, Verdict

REPO_HELP = (
    "a repository on the Hugging Face Hub, such as facebook/opt-125m; of the catalogue's, its name alone does. A path "
    "to what is on this disk begins with ./ or /"
)


def add_to(commands: Commands) -> None:
    """Add `models` to the command line."""
    models = commands.add_parser("models", help="list, search, download and remove models")
    add_json(models)
    models.set_defaults(run=_list)
    actions = models.add_subparsers(metavar="ACTION")
    _add_show(actions)
    _add_search(actions)
    _add_get(actions)
    remove = actions.add_parser("remove", help="delete a model, and what was downloaded of it, from the disk")
    remove.add_argument("repo", type=text, metavar="MODEL", help="its name, as `flashbulb models` lists it")
    add_json(remove)
    remove.set_defaults(run=_remove)
    token = actions.add_parser("token", help="keep a token for the Hub in the system's keychain, asked for unseen")
    token.add_argument("--forget", action="store_true", help="take it out of the keychain instead")
    token.set_defaults(run=_token)


def _add_show(actions: Commands) -> None:
    show = actions.add_parser("show", help="what a model is and what getting it would take; asks the Hub")
    _add_repository(show)
    add_json(show)
    show.set_defaults(run=_show)


def _add_get(actions: Commands) -> None:
    get = actions.add_parser("get", help="download a model and prepare it; again to continue after an interruption")
    _add_repository(get)
    add_preparing(get)
    add_json(get)
    get.set_defaults(run=_get)


def _add_search(actions: Commands) -> None:
    search = actions.add_parser("search", help="look for models on the Hub by their names; asks the Hub")
    search.add_argument("text", type=text, metavar="TEXT", help="what their names hold")
    _add_progress(search)
    add_json(search)
    search.set_defaults(run=_search)


def _add_repository(parser: ArgumentParser) -> None:
    parser.add_argument("repo", type=text, metavar="REPO", help=REPO_HELP)
    parser.add_argument(
        "--revision", type=text, metavar="R", help="a branch, tag or commit, by default the main branch"
    )
    _add_progress(parser)


def _add_progress(parser: ArgumentParser) -> None:
    parser.add_argument("--progress", action="store_true", help="a line of JSON for each step, for programs")


# ------------------------------------------------------------------------------------------------ listing
def _list(args: Namespace) -> None:
    from engine.library.begun import unfinished
    from engine.library.catalogue import catalogue
    from engine.library.removing import finish_removals, leftovers
    from engine.store.installed import installed
    from engine.store.others import other_checkpoints, use_of
    from engine.system.folders import models_folder

    finish_removals()
    whole, parts, left, known = installed(), unfinished(), leftovers(), catalogue()
    others = [(other, use_of(other.folder)) for other in other_checkpoints()]
    if args.json:
        on_disk = [asdict(model) | {"folder": str(model.folder)} for model in whole]
        rest = [asdict(leftover) | {"folder": str(leftover.folder)} for leftover in left]
        begun = [asdict(model) for model in parts]
        print_json({"folder": str(models_folder()), "installed": on_disk, "unfinished": begun, "leftovers": rest,
                    "others": [_other_report(*found) for found in others], "catalogue": known})  # fmt: skip
        return
    say(f"On disk, in {models_folder()}:")
    for model in whole:
        say(f"  {model.repo:<42} {readable(model.bytes):>8}")
    for part in parts:
        amount = f"{readable(part.done)} of {readable(part.total)}"
        say(f"  {part.repo:<42} {amount}, unfinished: `flashbulb models get {part.repo}` continues")
    for part_of in left:
        say(f"  {part_of.repo:<42} {readable(part_of.bytes)}, not whole: `models remove {part_of.repo}` deletes it")
    if not whole and not parts and not left:
        say(f"  nothing yet; built in: {', '.join(built_in())}")
    _print_others(others)
    _print_catalogue(known)


def _other_report(other: "OtherCheckpoint", verdict: "Verdict") -> dict[str, object]:
    return asdict(other) | {"folder": str(other.folder), "use": verdict.use.value, "reason": str(verdict.reason)}


def _print_others(others: "list[tuple[OtherCheckpoint, Verdict]]") -> None:
    """List what other tools have put on this disk."""
    if not others:
        return
    say("\nOf other tools, used where they lie (MODEL is the name or the folder):")
    for other, verdict in others:
        reason = f" {verdict.reason}" if verdict.reason else ""
        say(f"  {other.name:<42} {readable(other.bytes):>8}  {verdict.use.value}.{reason}")
        say(f"    {other.folder}")


def _print_catalogue(known: "list[CatalogueModel]") -> None:
    say("\nCatalogue (~ is an estimate; `flashbulb models show REPO` asks the Hub for size and licence):")
    say("\nThey answer, and run as they are downloaded:")
    for model in known:
        if model["supported"] and model["as_it_is"]:
            say(_line(model))
    for kind, title in (("chat", "they answer:"), ("base", "they continue a text, and do not answer:")):
        say(f"\nFor research, neurons from flash; {title}")
        for model in known:
            if model["supported"] and not model["as_it_is"] and model["kind"] == kind:
                say(_line(model))
    say("\nNot supported yet:")
    for model in known:
        if not model["supported"]:
            say(_line(model))


def _line(model: "CatalogueModel") -> str:
    about = "" if model["bytes"] else "~"
    licence = f" Licence: {model['licence']}." if model["licence"] else ""
    sparsity = f" {100 * model['sparsity']:.3g} % of its neurons are zero." if model["sparsity"] else ""
    size = f"{about}{readable(model['download_bytes'])}"
    return f"  {model['repo']:<42} {size:>8}  {model['description']}{sparsity}{licence}"


# ------------------------------------------------------------------------------------------ asking the Hub
def _name(said: str) -> str:
    """The repository that a name means. Raises HubError for what is none, without asking the Hub."""
    from engine.library.addresses import is_repository
    from engine.library.catalogue import full_name

    name = full_name(said)
    if built_in_named(said):
        raise HubError("{name} is built in: there is nothing to get.", name=said)
    if "/" in name and is_repository(name):
        return name
    if said.strip("./") and Path(said).expanduser().exists():
        raise HubError("{path} is on this disk already: `flashbulb prepare` makes a model of it.", path=said)
    raise HubError("{repo} is no repository's name. Names look like facebook/opt-125m.", repo=repr(said))


def _search(args: Namespace) -> None:
    from engine.library.hub import search

    if args.progress:
        in_lines(lambda _: {"found": [asdict(found) for found in search(args.text)]})
        return
    found = search(args.text)
    if args.json:
        print_json([asdict(model) for model in found])
        return
    for model in found:
        say(_found_line(model))
    if not found:
        say("No model of this name.")


def _found_line(model: "Found") -> str:
    size = readable(model.parameters).removesuffix("B").rstrip().replace("G", "B") if model.parameters else "-"
    runs = "" if model.supported else "  (not supported)"
    return f"  {model.repo:<52} {size:>6} parameters  {model.licence or '-'}{', gated' if model.gated else ''}{runs}"


def _token(args: Namespace) -> None:
    from engine.library.token import forget_token, store_token

    if args.forget:
        forget_token()
        say("There is no token in the keychain any more.")
        return
    store_token(getpass.getpass("Token: ") if sys.stdin.isatty() else standard_input())
    say("The token is kept in the system's keychain.")


def _show(args: Namespace) -> None:
    from engine.library.catalogue import catalogue
    from engine.library.getting import plan_for
    from engine.system.folders import models_folder

    if args.progress:
        in_lines(partial(_look_up, args.repo, args.revision))
        return
    repo = _name(args.repo)
    entry = next((model for model in catalogue() if model["repo"] == repo), None)
    plan = plan_for(repo, args.revision)
    folder = models_folder()
    if args.json:
        print_json({"catalogue": entry, "plan": _plan_report(plan), "free_bytes": free_bytes(folder)})
        return
    _print_plan(plan)
    if entry:
        _print_entry(entry)


def _print_entry(entry: "CatalogueModel") -> None:
    """Print what the catalogue adds."""
    say(f"{entry['description']}")
    figures = {"parameters": entry["parameters"], "bytes": entry["bytes"], "sparsity": entry["sparsity"]}
    for name, source in entry["sources"].items():
        known = f"{figures[name]} " if figures.get(name) is not None else ""
        say(f"{name}: {known}({source})")
    if entry["needs"]:
        say(f"needs {entry['needs']}")


def _plan_report(plan: "Plan") -> dict[str, object]:
    from engine.library.begun import checkpoint_folder

    needed = plan.needed(checkpoint_folder(plan.repo))
    return asdict(plan) | {"bytes": plan.bytes, "weight_bytes": plan.weight_bytes, "needed_bytes": needed}


def _print_plan(plan: "Plan") -> None:
    from engine.library.begun import checkpoint_folder

    checkpoint = checkpoint_folder(plan.repo)
    licence = f"licence {plan.licence}" if plan.licence else f"licence: see {plan.page}"
    there = plan.fetched(checkpoint)
    say(f"{plan.repo} at {plan.commit[:12]}, {licence}{', gated' if plan.gated else ''}")
    for remote in plan.files:
        say(f"  {remote.name:<42} {readable(remote.bytes):>10}")
    say(
        f"{readable(plan.bytes)} to download{f', {readable(there)} of it already here' if there else ''}. "
        f"Needs {readable(plan.needed(checkpoint))} of disk{'' if plan.as_it_is else ' until it is prepared'}; "
        f"{readable(free_bytes(checkpoint))} are free."
    )


def _look_up(said: str, revision: str | None, _: Say) -> dict[str, object]:
    """A repository, as the Hub describes it.

    config: as published, None where it may not be read. refused: the reason why it cannot be prepared, or nothing.
    """
    from engine.library.getting import config_of, plan_for
    from engine.models.supported import check_supported

    plan = plan_for(_name(said), revision)
    config, refused = config_of(plan), ""
    try:
        if config is not None:
            check_supported(config)
    except CheckpointError as error:
        refused = text_of(error)
    return {"plan": _plan_report(plan), "config": config, "refused": refused}


def _download_and_prepare(args: Namespace, say_line: Say) -> dict[str, object]:
    """An absolute path is that of a checkpoint which is on disk already, and only prepared."""
    from engine.library.getting import get, plan_for
    from engine.library.local import add
    from engine.store.installed import folder_of

    def preparing(stage: str, share: float) -> None:
        say_line(stage="preparing", share=share, note=stage)

    options = {"calibration": args.calibration, "dtype": args.dtype}
    if (path := Path(args.repo).expanduser()).is_absolute():
        return {"folder": str(add(path, preparing, **options))}
    folder = folder_of(args.repo) or get(
        plan_for(_name(args.repo), args.revision),
        lambda p: say_line(stage=p.stage, done=p.done, total=p.total, rate=p.rate, note=p.note),
        preparing,
        **options,
    )
    return {"folder": str(folder)}


def _get(args: Namespace) -> None:
    from engine.store.installed import folder_of

    if args.progress:
        in_lines(partial(_download_and_prepare, args))
        return
    if folder := folder_of(args.repo):
        print_json({"folder": str(folder)}) if args.json else say(f"{args.repo} is ready in {folder}.")
        return
    _get_from_hub(_name(args.repo), args)


def _get_from_hub(repo: str, args: Namespace) -> None:
    from engine.library.download import describe
    from engine.library.getting import get, plan_for

    plan = plan_for(repo, args.revision)
    wanted = not args.json
    if wanted:
        _print_plan(plan)
    try:
        with Progress("downloading", wanted) as fetching, Progress("preparing", wanted) as preparing:
            folder = get(
                plan,
                lambda p: fetching(p.done / max(p.total, 1), describe(p)),
                lambda stage, share: preparing(share, stage),
                calibration=args.calibration,
                dtype=args.dtype,
            )
    except KeyboardInterrupt:
        note(f"\nPaused. `flashbulb models get {repo}` continues, `remove` gives it up.")
        raise
    if args.json:
        print_json({"folder": str(folder), "plan": _plan_report(plan)})
    else:
        say(f"{repo} is ready in {folder}.")


def _remove(args: Namespace) -> None:
    from engine.library.removing import on_disk, remove

    repo = on_disk(args.repo)
    freed = remove(repo)
    if args.json:
        print_json({"freed_bytes": freed})
    else:
        say(f"{repo} is removed: {readable(freed)} freed.")
