"""`flashbulb prepare`: making a model that runs here of a checkpoint."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from engine.cli.arguments import DTYPES, Commands, add_json, path, text
from engine.cli.output import Progress, note, print_json, say, signed
from engine.errors import OptionError

if TYPE_CHECKING:
    from engine.prepare.conversion import Quantisation
    from engine.prepare.making import Making
    from engine.store.reports import CalibrationReport, GroupReport, LayerReport

PLAIN_BITS = 16
BITS = (PLAIN_BITS, 8, 6, 5, 4, 3, 2)
GROUP_SIZES = (32, 64, 128)
MODES = {"affine": (64, 4), "mxfp4": (32, 4), "mxfp8": (32, 8), "nvfp4": (16, 4)}  # usual group size and bits


def add_to(commands: Commands) -> None:
    """Add `prepare` to the command line."""
    parser = commands.add_parser("prepare", help="make a model that runs here of a checkpoint, or of a GGUF file")
    parser.add_argument("checkpoint", type=path, metavar="CHECKPOINT",
                        help="a model's folder as it is published: config.json, weights, tokenizer; or a .gguf file. "
                        "One whose neurons cannot be streamed is converted to MLX's form")  # fmt: skip
    parser.add_argument("out", type=path, metavar="OUT", help="the folder that is made; given again, it is continued")
    add_preparing(parser)
    parser.add_argument("--name", type=text, help="the model's name; by default, that of the checkpoint's folder")
    parser.add_argument(
        "--predictors", type=text, default="trained", metavar="trained|factorised|FOLDER",
        help="train them; take the up projections' factorisations as they are; or import published model_*.pt files "
        "(default %(default)s)",
    )  # fmt: skip
    _add_conversion(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def add_preparing(parser: ArgumentParser) -> None:
    """Add how a checkpoint is prepared."""
    parser.add_argument("--calibration", type=path, metavar="FILE",
                        help="a text that is typical of what will be asked; by default, talk of our own")  # fmt: skip
    parser.add_argument("--dtype", choices=DTYPES, help="of the weights; by default, the checkpoint's own")


def _add_conversion(parser: ArgumentParser) -> None:
    """Add the form that weights get in a conversion."""
    parser.add_argument("--bits", type=int, choices=BITS,
                        help="of a weight. Where neurons are streamed, they are quantised with 8 or 4 (by default they "
                        "are not), and any other number converts to MLX's form (by default 4)")  # fmt: skip
    parser.add_argument("--group", type=int, choices=GROUP_SIZES,
                        help="convert, with so many weights to a scale (by default as --mode has it)")  # fmt: skip
    parser.add_argument("--mode", choices=MODES, help="convert, to this form of quantised weights (by default affine)")


def run(args: Namespace) -> None:
    """Prepare a checkpoint."""
    from engine.prepare.making import Way, make

    try:
        with Progress("preparing", not args.json) as progress:
            way = make(args.checkpoint, args.out, _making(args), args.name, lambda stage, share: progress(share, stage))
    except KeyboardInterrupt:
        note("\nPaused. The same command continues.")
        raise
    if way is Way.NEURONS:
        _tell_prepared(args)
    elif args.json:
        _print_converted(args.out)
    else:
        say(f"{args.out} is ready.")


def _making(args: Namespace) -> "Making":
    """The way in which a model is made, as the arguments say. Raises OptionError for a form that there is not."""
    from engine.prepare.making import Making
    from engine.store.packing import PACKED_BITS

    of_neurons = args.bits if args.bits in PACKED_BITS else None
    converted = args.bits != of_neurons or args.group is not None or args.mode is not None
    rest = {"calibration": args.calibration, "dtype": args.dtype, "predictors": args.predictors, "bits": of_neurons}
    return Making(converted, _quantisation(args), **rest)


def _quantisation(args: Namespace) -> "Quantisation | None":
    from engine.prepare.conversion import Quantisation

    mode = args.mode or "affine"
    usual_group, usual_bits = MODES[mode]
    bits, group = args.bits or usual_bits, args.group or usual_group
    if mode != "affine" and (bits, group) != (usual_bits, usual_group):
        raise OptionError(
            "mode {mode} has {bits} bits in groups of {group}, and no others.", mode=mode, bits=usual_bits,
            group=usual_group,
        )  # fmt: skip
    return None if bits == PLAIN_BITS else Quantisation(bits, group, mode)


def _print_converted(out: Path) -> None:
    from engine.store.mlx_folder import MlxFolder

    made = MlxFolder.open(out)
    form, architecture = made.config.get("quantization"), made.config.get("model_type")
    report = {"out": str(out), "name": made.name, "bytes": made.bytes}
    print_json(report | {"architecture": architecture, "quantization": form})


def _tell_prepared(args: Namespace) -> None:
    """Say what was made of a checkpoint's neurons."""
    from engine.store.manifest import MANIFEST, PreparedModel
    from engine.system.documents import read_json

    if args.json:
        print_json({"out": str(args.out), **read_json(args.out / MANIFEST)})
        return
    say(f"{args.out} is ready.")
    manifest = PreparedModel.open(args.out).manifest
    print_quality(manifest.calibration, manifest.layers)


def print_quality(measured: "CalibrationReport | None", layers: "list[LayerReport]") -> None:
    """Print the figures that were measured while preparing."""
    _print_packed(measured, [layer.groups for layer in layers if layer.groups])
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


def _print_packed(measured: "CalibrationReport | None", groups: "list[GroupReport]") -> None:
    """Print what quantising neurons costs, and how well their order puts together what is read together."""
    if measured is not None and measured.quantisation_loss is not None:
        loss = signed(100 * measured.quantisation_loss, 2)
        say(f"Quantised neurons cost {loss} % perplexity against {measured.original_perplexity:.4g} of the original.")
    if groups:
        exact, predicted, unordered = (
            100 * mean(shares)
            for shares in zip(*((each.exact, each.predicted, each.unordered) for each in groups), strict=True)
        )
        say(
            f"{groups[0].neurons} neurons are read together. A token needs {exact:.1f} % of such groups "
            f"({unordered:.1f} % in the checkpoint's own order), {predicted:.1f} % as predicted."
        )
