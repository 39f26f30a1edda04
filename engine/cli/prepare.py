"""`flashbulb prepare` and `flashbulb info`: making a prepared model, and what one is."""

from typing import TYPE_CHECKING

from engine.cli.output import Progress, print_json
from engine.settings import Settings
from engine.text import readable

if TYPE_CHECKING:
    from engine.store.reports import CalibrationReport, LayerReport


def run_prepare(args) -> None:
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
    print(f"{args.out} is ready.")
    manifest = PreparedModel.open(args.out).manifest
    _print_quality(manifest.calibration, manifest.layers)


def run_info(args) -> None:
    from msgspec import to_builtins

    from engine.inference.load import find
    from engine.planning.outlook import Outlook
    from engine.store.manifest import PreparedModel

    prepared = PreparedModel.open(find(args.model), verify=args.verify)
    budget = Outlook.of(prepared, None).plan(Settings(selection=args.selection))
    report = {
        "name": prepared.name,
        "architecture": prepared.manifest.architecture,
        "dtype": prepared.manifest.dtype,
        "layers": len(prepared.bundles.layers),
        "neurons": prepared.bundles.layers[0].neurons,
        "bundle_bytes": prepared.bundles.layers[0].row_bytes,
        "model_bytes": prepared.bytes,
        "flash_bytes": prepared.bundles.bytes,
        "resident": {name: size for name, size in budget.items.items() if name != "neuron_pool"},
        "smallest_budget_bytes": budget.smallest,
        "default_budget_bytes": budget.ceiling,
        "calibration": to_builtins(prepared.manifest.calibration),
        "by_layer": to_builtins(prepared.layer_reports),
    }
    if args.json:
        print_json(report)
        return
    print(f"{report['name']}: {report['architecture']}, {report['layers']} layers of {report['neurons']} neurons")
    on_flash = readable(prepared.bundles.bytes)
    print(f"{readable(prepared.bytes)} of {report['dtype']} weights, of which {on_flash} stay on flash")
    for name, size in report["resident"].items():
        print(f"  {name.replace('_', ' '):<16} {readable(size):>8} in memory")
    print(f"Smallest memory budget {readable(budget.smallest)}, by default {readable(budget.ceiling)}.")
    _print_quality(prepared.manifest.calibration, prepared.layer_reports)


def _print_quality(measured: "CalibrationReport | None", layers: "list[LayerReport]") -> None:
    """What was measured while preparing."""
    if measured is not None and measured.loss is not None:
        kinds = " and ".join(sorted({layer.predictor for layer in layers}))
        print(
            f"Predictors: {kinds}. They cost {100 * measured.loss:+.2f} % perplexity ({measured.exact_perplexity:.4g} "
            f"with exact selection), on {measured.held_out_tokens} tokens they were not trained on, of {measured.text}."
        )
    print("layer  sparsity   rank  threshold  recall  false positives  output error")
    for i, r in enumerate(layers):
        error = float("nan") if r.output_error is None else r.output_error
        print(
            f"{i:5d} {r.sparsity:9.4f} {r.rank:6d} {r.threshold:10.4f} {r.recall:7.4f} "
            f"{r.false_positives:16.4f} {error:13.4f}"
        )
