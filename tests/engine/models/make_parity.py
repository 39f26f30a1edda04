"""Make the parity fixtures: random tiny checkpoints, and the logits that transformers gives for them.

    pip install torch==2.13.0 transformers==5.23.0 safetensors
    python -m tests.engine.models.make_parity

Not a dependency of the project: the fixtures are kept, and this script says where they come from.
"""

import shutil
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file

from tests.checkpoints import write_opt

FOLDER = Path(__file__).parent / "parity"
CASES = {
    "opt": {},
    "opt-post-norm": {"do_layer_norm_before": False, "word_embed_proj_dim": 16},
}


def main() -> None:
    for name, changes in CASES.items():
        folder = FOLDER / name
        shutil.rmtree(folder, ignore_errors=True)
        write_opt(folder, tokenizer=False, seed=7, vocab_size=160, **changes)
        tokens = np.random.default_rng(3).integers(3, 160, size=24)
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True
        )
        assert not report["missing_keys"], report
        assert not report["unexpected_keys"], report
        with torch.no_grad():
            logits = model.eval()(torch.tensor(tokens)[None]).logits[0].numpy()
        save_file({"tokens": tokens, "logits": logits}, folder / "expected.safetensors")
        print(name, logits.shape)


if __name__ == "__main__":
    main()
