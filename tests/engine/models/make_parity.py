"""Make the parity fixtures: random tiny checkpoints, and the logits that transformers gives for them.

    pip install torch==2.13.0 transformers==5.23.0 safetensors
    python -m tests.engine.models.make_parity

Not a dependency of the project: the fixtures are kept, and this script says where they come from. ProSparse and Bamboo
are not in transformers: their FFNs are put into its Llama here, as their papers describe them.
"""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file, save_file
from torch import nn
from transformers.activations import ACT2FN

from tests.helpers.checkpoints import FAMILIES, write_family, write_opt

FOLDER = Path(__file__).parent / "parity"
OPT_CASES = {
    "opt": {},
    "opt-post-norm": {"do_layer_norm_before": False, "word_embed_proj_dim": 16},
}
STAND_INS = {"sparsellama": "LlamaForCausalLM", "bamboo": "LlamaForCausalLM"}


def main() -> None:
    for name, changes in OPT_CASES.items():
        write = partial(write_opt, tokenizer=False, seed=7, vocab_size=160, **changes)
        make(name, write)
    for name in FAMILIES:
        make(name, partial(write_family, name=name, tokenizer=False, seed=7))


def make(name: str, write) -> None:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    write(folder)
    config = json.loads((folder / "config.json").read_text())
    inactive = []
    model = independent(folder, config)
    watch(model, config, inactive)
    tokens = np.random.default_rng(3).integers(3, 160, size=24)
    with torch.no_grad():
        logits = model(torch.tensor(tokens)[None]).logits[0].numpy()
    save_file({"tokens": tokens, "logits": logits}, folder / "expected.safetensors")
    print(f"{name}: logits {logits.shape}, {100 * np.mean(inactive):.0f} % of neurons inactive")


def independent(folder: Path, config: dict) -> nn.Module:
    """The checkpoint in transformers, float32. Its weights and the model's must be the same set of names."""
    kind = config["model_type"]
    cls = getattr(transformers, STAND_INS.get(kind, config["architectures"][0]))
    if kind == "sparsellama":
        ACT2FN["fatrelu"] = (nn.Threshold, {"threshold": config["hidden_act_param"], "value": 0.0})
    known = {
        name: value for name, value in config.items() if name not in ("model_type", "architectures", "torch_dtype")
    }
    model = cls(cls.config_class(**known)).to(torch.float32).eval()
    if kind == "bamboo":
        for layer in model.model.layers:
            layer.mlp.forward = partial(drelu, layer.mlp)
    weights = {name: torch.from_numpy(weight) for name, weight in load_file(folder / "model.safetensors").items()}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    tied = ["lm_head.weight"] if model.config.tie_word_embeddings else []
    assert missing == tied, missing
    assert not unexpected, unexpected
    return model


def drelu(mlp: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """TurboSparse's dReLU: of the gate and of up."""
    return mlp.down_proj(torch.relu(mlp.gate_proj(x)) * torch.relu(mlp.up_proj(x)))


def watch(model: nn.Module, config: dict, inactive: list[float]) -> None:
    """Note the share of zeros among what the down projections are given."""
    for name, module in model.named_modules():
        if name.endswith((".down_proj", ".fc2", ".dense_4h_to_h")):
            module.register_forward_pre_hook(lambda _, given: inactive.append((given[0] == 0).float().mean().item()))


if __name__ == "__main__":
    main()
