"""`flashbulb prepare` and `flashbulb info`: making a prepared model, and what one is."""

from engine.cli.output import Progress, print_json
from engine.settings import Settings
from engine.text import readable


def run_prepare(args) -> None:
    from engine.prepare.prepare import prepare

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
    _print_quality(content)


def run_info(args) -> None:
    from engine.inference.load import find
    from engine.planning.outlook import Outlook
    from engine.store.manifest import PreparedModel

    prepared = PreparedModel.open(find(args.model), verify=args.verify)
    budget = Outlook.of(prepared, None).plan(Settings(selection=args.selection))
    report = {
        "name": prepared.name,
        "architecture": prepared.manifest["architecture"],
        "dtype": prepared.manifest["dtype"],
        "layers": len(prepared.bundles.layers),
        "neurons": prepared.bundles.layers[0].neurons,
        "bundle_bytes": prepared.bundles.layers[0].row_bytes,
        "model_bytes": prepared.bytes,
        "flash_bytes": prepared.bundles.bytes,
        "resident": {name: size for name, size in budget.items.items() if name != "neuron_pool"},
        "smallest_budget_bytes": budget.smallest,
        "default_budget_bytes": budget.ceiling,
        "calibration": prepared.manifest["calibration"],
        "by_layer": prepared.layer_reports,
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
    _print_quality(prepared.manifest)


def _print_quality(manifest: dict) -> None:
    """What was measured while preparing."""
    measured, layers = manifest["calibration"], manifest["layers"]
    kinds = " and ".join(sorted({layer["predictor"] for layer in layers}))
    exact, predicted = measured["exact_perplexity"], measured["predicted_perplexity"]
    print(
        f"Predictors: {kinds}. They cost {100 * (predicted / exact - 1):+.2f} % perplexity ({exact:.4g} with exact "
        f"selection), on {measured['held_out_tokens']} tokens they were not trained on, of {measured['text']}."
    )
    print("layer  sparsity   rank  threshold  recall  false positives  output error")
    for i, r in enumerate(layers):
        print(
            f"{i:5d} {r['sparsity']:9.4f} {r['rank']:6d} {r['threshold']:10.4f} {r['recall']:7.4f} "
            f"{r['false_positives']:16.4f} {r.get('output_error', float('nan')):13.4f}"
        )
