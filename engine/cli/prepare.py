"""`flashbulb prepare` and `flashbulb info`: making a prepared model, and what one is."""

from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING

from engine.cli.arguments import DTYPES, MODEL_HELP, Commands, add_json, model, path, text
from engine.cli.output import Progress, print_json, say, signed
from engine.settings import SELECTIONS, Settings
from engine.text import readable

if TYPE_CHECKING:
    from engine.store.reports import CalibrationReport, LayerReport


def add_to(commands: Commands) -> None:
    """Add `prepare` and `info` to the command line."""
    parser = commands.add_parser("prepare", help="make a prepared model of a checkpoint")
    parser.add_argument("checkpoint", type=path, metavar="CHECKPOINT",
                        help="a model's folder as it is published: config.json, weights, tokenizer")  # fmt: skip
    parser.add_argument("out", type=path, metavar="OUT", help="the folder that is made; given again, it is continued")
    add_preparing(parser)
    parser.add_argument("--name", type=text, help="the model's name; by default, that of the checkpoint's folder")
    parser.add_argument(
        "--predictors", type=text, default="trained", metavar="trained|factorised|FOLDER",
        help="train them; take the up projections' factorisations as they are; or import published model_*.pt files "
        "(default %(default)s)",
    )  # fmt: skip
    add_json(parser)
    parser.set_defaults(run=run_prepare)

    info = commands.add_parser("info", help="what a prepared model is and needs")
    info.add_argument("model", type=model, metavar="MODEL", help=MODEL_HELP)
    info.add_argument("--selection", choices=SELECTIONS, default="predictor",
                      help="the selection that the memory is told for (default %(default)s)")  # fmt: skip
    info.add_argument("--verify", action="store_true", help="check every byte against the manifest")
    add_json(info)
    info.set_defaults(run=run_info)


def add_preparing(parser: ArgumentParser) -> None:
    """Add how a checkpoint is prepared."""
    parser.add_argument("--calibration", type=path, metavar="FILE",
                        help="a text that is typical of what will be asked; by default, talk of our own")  # fmt: skip
    parser.add_argument("--dtype", choices=DTYPES, help="of the weights; by default, the checkpoint's own")


def run_prepare(args: Namespace) -> None:
    """Prepare a checkpoint."""
    from engine.prepare.prepare import prepare
    from engine.store.manifest import PreparedModel

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
        print_json({"out": str(args.out), **content})
        return
    say(f"{args.out} is ready.")
    manifest = PreparedModel.open(args.out).manifest
    _print_quality(manifest.calibration, manifest.layers)


def run_info(args: Namespace) -> None:
    """Say what a prepared model is and needs."""
    from msgspec import to_builtins

    from engine.inference.load import find
    from engine.planning.outlook import Outlook
    from engine.store.manifest import PreparedModel

    prepared = PreparedModel.open(find(args.model), verify=args.verify)
    budget = Outlook.of(prepared, None).plan(Settings(selection=args.selection))
    resident = {name: size for name, size in budget.items.items() if name != "neuron_pool"}
    report = {
        "name": prepared.name,
        "architecture": prepared.manifest.architecture,
        "dtype": prepared.manifest.dtype,
        "layers": len(prepared.bundles.layers),
        "neurons": prepared.bundles.layers[0].neurons,
        "bundle_bytes": prepared.bundles.layers[0].row_bytes,
        "model_bytes": prepared.bytes,
        "flash_bytes": prepared.bundles.bytes,
        "resident": resident,
        "smallest_budget_bytes": budget.smallest,
        "default_budget_bytes": budget.ceiling,
        "calibration": to_builtins(prepared.manifest.calibration),
        "by_layer": to_builtins(prepared.layer_reports),
    }
    if args.json:
        print_json(report)
        return
    say(f"{report['name']}: {report['architecture']}, {report['layers']} layers of {report['neurons']} neurons")
    on_flash = readable(prepared.bundles.bytes)
    say(f"{readable(prepared.bytes)} of {report['dtype']} weights, of which {on_flash} stay on flash")
    for name, size in resident.items():
        say(f"  {name.replace('_', ' '):<16} {readable(size):>8} in memory")
    say(f"Smallest memory budget {readable(budget.smallest)}, by default {readable(budget.ceiling)}.")
    _print_quality(prepared.manifest.calibration, prepared.layer_reports)


def _print_quality(measured: "CalibrationReport | None", layers: "list[LayerReport]") -> None:
    """Print the figures that were measured while preparing."""
    if measured is not None and measured.loss is not None:
        kinds = " and ".join(sorted({layer.predictor for layer in layers}))
        loss = signed(100 * measured.loss, 2)
        say(
            f"Predictors: {kinds}. They cost {loss} % perplexity ({measured.exact_perplexity:.4g} with exact "
            f"selection), on {measured.held_out_tokens} tokens they were not trained on, of {measured.text}."
        )
    say("layer  sparsity   rank  threshold  recall  false positives  output error")
    for i, r in enumerate(layers):
        error = float("nan") if r.output_error is None else r.output_error
        say(
            f"{i:5d} {r.sparsity:9.4f} {r.rank:6d} {r.threshold:10.4f} {r.recall:7.4f} "
            f"{r.false_positives:16.4f} {error:13.4f}"
        )
