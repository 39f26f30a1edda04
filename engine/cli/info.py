"""`flashbulb info`: what a model is, what it needs, and how fast it is expected to be with which memory budget."""

from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.arguments import MODEL_HELP, Commands, add_json, model
from engine.cli.conversation import conversation, print_conversation
from engine.cli.output import Progress, counted, print_json, say
from engine.cli.prepare import print_quality
from engine.settings import SELECTIONS, Settings
from engine.text import readable

if TYPE_CHECKING:
    from engine.planning.outlook import Outlook
    from engine.planning.ways import ReadWays
    from engine.store.manifest import PreparedModel
    from engine.store.mlx_folder import MlxFolder

BUDGET_SHARES = (
    0.0,
    0.125,
    0.25,
    0.5,
    0.75,
    1.0,
)  # of the way from the smallest budget to that for everything
POOL_ITEM = "pool"
ACTIVE_ROWS, ALL = "active rows", "all"

Report = dict[str, Any]


def add_to(commands: Commands) -> None:
    """Add `info` to the command line."""
    info = commands.add_parser("info", help="what a model is and needs, and how fast it will be")
    info.add_argument("model", type=model, metavar="MODEL", help=MODEL_HELP)
    info.add_argument("--selection", choices=SELECTIONS, default=Settings.selection,
                      help="of neurons, for which the memory is told (default %(default)s)")  # fmt: skip
    info.add_argument("--draft-model", type=model, default=Settings.draft_model, metavar="auto|none|MODEL",
                      help="the small model that would guess ahead, and why (default %(default)s)")  # fmt: skip
    info.add_argument("--verify", action="store_true",
                      help="check every byte against its checksum; a checkpoint's, where it is known")  # fmt: skip
    add_json(info)
    info.set_defaults(run=run)


def run(args: Namespace) -> None:
    """Say what a model is and needs."""
    from engine.flash.profile import DriveProfile, profile_path
    from engine.inference.load import drafting_with, find
    from engine.planning.outlook import Outlook
    from engine.store.installed import open_stored
    from engine.store.manifest import PreparedModel

    stored = open_stored(find(args.model), verify=args.verify)
    settings = Settings(selection=args.selection, draft_model=args.draft_model)
    outlook = Outlook.of(stored, DriveProfile.load(profile_path(stored.folder)))
    if isinstance(stored, PreparedModel):
        described, print_described = _prepared(stored), _print_prepared
    else:
        described, print_described = _checkpoint(stored, outlook), _print_checkpoint
    drafting = drafting_with(stored, outlook.sizes, settings)
    outlook = replace(outlook, draft=drafting.source.planner if drafting.source else None)
    report = described | _memory(outlook, settings) | {"by_budget": _by_budget(outlook, settings)}
    report["draft_model"] = str(drafting.reason)
    report["conversation"] = conversation(outlook, settings, stored.folder)
    if args.verify and not isinstance(stored, PreparedModel):
        report["verified"] = _verified(stored.folder, args.json)
    if args.json:
        print_json(report)
        return
    print_described(report)
    if "verified" in report:
        _print_verified(report["verified"])
    _print_memory(report)
    print_conversation(report["conversation"])
    say(f"Draft model: {report['draft_model']}")
    if isinstance(stored, PreparedModel):
        print_quality(stored.manifest.calibration, stored.layer_reports)


# -------------------------------------------------------------------------------------- a model of neurons
def _prepared(prepared: "PreparedModel") -> Report:
    from msgspec import to_builtins

    first, *_ = prepared.bundles.layers
    return {
        "name": prepared.name,
        "architecture": prepared.manifest.architecture,
        "dtype": prepared.manifest.dtype,
        "layers": len(prepared.bundles.layers),
        "neurons": prepared.layer_reports[0].neurons,
        "bundle_neurons": prepared.bundles.neurons,
        "quantization": to_builtins(prepared.manifest.quantization),
        "bundle_bytes": first.row_bytes,
        "model_bytes": prepared.bytes,
        "flash_bytes": prepared.bundles.bytes,
        "calibration": to_builtins(prepared.manifest.calibration),
        "by_layer": to_builtins(prepared.layer_reports),
    }


def _print_prepared(report: Report) -> None:
    say(f"{report['name']}: {report['architecture']}, {report['layers']} layers of {report['neurons']} neurons")
    on_flash = readable(report["flash_bytes"])
    say(f"{readable(report['model_bytes'])} of {report['dtype']} weights, of which {on_flash} stay on flash")


# -------------------------------------------------------------------------------------- a checkpoint as it is
def _checkpoint(checkpoint: "MlxFolder", outlook: "Outlook") -> Report:
    from engine.planning.checkpoint import CheckpointSizes
    from engine.planning.shape import flash_bytes

    assert isinstance(outlook.sizes, CheckpointSizes)
    bundles = [layer.bundles for layer in outlook.sizes.layers(Settings())]
    experts = [each for each in bundles if each.kind == "expert"]
    return {
        "name": checkpoint.name,
        "architecture": checkpoint.config.get("model_type"),
        "quantization": checkpoint.config.get("quantization"),
        "layers": len(experts),
        "experts": max((each.count for each in experts), default=0),
        "experts_a_token": max((each.chosen or 0 for each in experts), default=0),
        "bundle_bytes": max((each.stored_bytes for each in experts or bundles), default=0),
        "model_bytes": checkpoint.bytes,
        "flash_bytes": flash_bytes(bundles),
        "drive_measured": outlook.profile is not None,
        "read_ways": _ways(outlook.sizes.ways) if outlook.sizes.ways else None,
    }


def _ways(ways: "ReadWays") -> Report:
    """The ways to read what a token needs in part alone, linears or experts, and what either takes."""
    return {
        "read": ACTIVE_ROWS if ways.reads_rows else ALL,
        "faster": ACTIVE_ROWS if ways.faster else ALL,
        "prepared": ways.prepared,
        "token_ms": {ACTIVE_ROWS: ways.rows_ms, ALL: ways.whole_ms},
        "parts": [
            {
                "path": choice.path,
                "of_experts": choice.of_experts,
                "active_share": choice.active_share,
                ACTIVE_ROWS: asdict(choice.rows),
                ALL: asdict(choice.whole),
            }
            for choice in ways.choices
        ],
    }


def _print_ways(report: Report) -> None:
    """Say how what a token needs in part alone is read, and why; the first linear or container stands for all."""
    ways, parts = report["read_ways"], report["read_ways"]["parts"]
    if not parts:
        say("Its experts leave neurons at exactly zero. They are read whole until answers have shown how many, on a "
            "drive that was measured")  # fmt: skip
        return
    first = parts[0]
    zeros = f"{100 * (1 - first['active_share']):.0f} % of the neurons at exactly zero"
    if first["of_experts"]:
        say(f"Its experts leave {zeros}, as its answers have shown. {_told(ways, 'their columns of fc2')}")
        what = "a layer's experts"
        if not ways["prepared"] and ways["faster"] == ACTIVE_ROWS:
            say("  `flashbulb prepare` makes of this folder one that can be read so")
    else:
        say(f"{counted(len(parts), 'FFN leaves', 'FFNs leave')} {zeros}. {_told(ways, 'their rows of up_proj')}")
        what = "one up_proj"
    usual = "" if report["drive_measured"] else ", on a usual drive, as this one was not measured"
    say(f"  {what}: active {_cost(first[ACTIVE_ROWS])}, all {_cost(first[ALL])}{usual}")


def _told(ways: Report, part: str) -> str:
    """The way that is taken, and a token's time with both in the smallest budget."""
    active, whole = (f"{ways['token_ms'][way]:.1f} ms" for way in (ACTIVE_ROWS, ALL))
    if ways["read"] == ACTIVE_ROWS:
        return f"Of the others alone {part} are read: a token takes {active} so, and {whole} with all"
    return f"All is read: a token takes {whole} so, and {active} with the others alone"


def _cost(cost: Report) -> str:
    return f"{readable(int(cost['bytes']))} in {1e3 * cost['seconds']:.1f} ms"


def _print_checkpoint(report: Report) -> None:
    say(f"{report['name']}: {report['architecture']}{_bits(report['quantization'])}")
    if report["read_ways"]:
        _print_ways(report)
    if not report["layers"]:
        say(f"{readable(report['model_bytes'])} of weights. What the memory budget has no room for is read from flash "
            "for every token")  # fmt: skip
        return
    say(f"{report['layers']} layers of {report['experts']} experts, {report['experts_a_token']} for each token, "
        f"{readable(report['bundle_bytes'])} each")  # fmt: skip
    say(f"{readable(report['model_bytes'])} of weights, of which {readable(report['flash_bytes'])} stay on flash")


def _bits(quantization: object) -> str:
    """The bits of quantised weights, which a config may say for each matrix."""
    if not isinstance(quantization, dict):
        return ""
    forms = [quantization, *(form for form in quantization.values() if isinstance(form, dict))]
    found = sorted({form["bits"] for form in forms if isinstance(form.get("bits"), int)})
    return f", {' to '.join(map(str, (found[:1] + found[1:][-1:])))} bits" if found else ""


def _verified(folder: Path, silent: bool) -> Report:
    from engine.store.verifying import verify_checkpoint

    with Progress("verifying", not silent) as progress:
        return asdict(verify_checkpoint(folder, progress))


def _print_verified(found: Report) -> None:
    files = counted(len(found["matching"]), "file has", "files have")
    say(f"{files} the Hub's checksum; of {len(found['unknown'])} none is known here")


# ------------------------------------------------------------------------------------------------- memory
def _memory(outlook: "Outlook", settings: Settings) -> Report:
    """The bytes held, item by item, and the smallest budget; of any kind of model."""
    budget = outlook.plan(settings)
    return {
        "resident": {name: size for name, size in budget.items.items() if name != POOL_ITEM},
        "pool_bytes": budget.items[POOL_ITEM],
        "smallest_budget_bytes": outlook.smallest_budget(settings),
        "default_budget_bytes": budget.ceiling,
    }


def _by_budget(outlook: "Outlook", settings: Settings) -> list[Report]:
    """Hits and speed that are expected; speed is None where nothing is known to expect it from."""
    smallest, full = outlook.smallest_budget(settings), outlook.full_budget(settings)
    budgets = dict.fromkeys(smallest + round(share * (full - smallest)) for share in BUDGET_SHARES)
    return [_expected(outlook, replace(settings, memory_budget=budget), budget) for budget in budgets]


def _expected(outlook: "Outlook", settings: Settings, budget: int) -> Report:
    expected = outlook.predict(settings)
    return {
        "budget_bytes": budget,
        "hit_rate": outlook.hit_rate(settings),
        "bytes_read": expected.bytes_read if expected else None,
        "tokens_per_second": expected.tokens_per_second if expected else None,
        "context": outlook.longest_context(settings),
    }


def _print_memory(report: Report) -> None:
    by_default = readable(report["default_budget_bytes"])
    say(f"In memory before a conversation grows, with {by_default}, the budget by default:")
    for name, size in (*report["resident"].items(), (POOL_ITEM, report["pool_bytes"])):
        say(f"  {name.replace('_', ' '):<16} {readable(size):>8}")
    say(f"Smallest memory budget {readable(report['smallest_budget_bytes'])}.")
    say("   budget  expected hits  tokens/s  longest conversation")
    for row in report["by_budget"]:
        speed = f"{row['tokens_per_second']:.1f}" if row["tokens_per_second"] else "-"
        say(f"{readable(row['budget_bytes']):>9}  {100 * row['hit_rate']:>11.0f} %  {speed:>8}  "
            f"{row['context']:>13,} tokens")  # fmt: skip
    if not any(row["tokens_per_second"] for row in report["by_budget"]):
        say("Speeds are known once `flashbulb bench drive` has measured this drive.")
