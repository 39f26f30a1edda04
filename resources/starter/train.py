"""Train Flashbulb's starter model: a small ReLU OPT that makes small talk.

    pip install torch==2.13.0 numpy tokenizers safetensors
    python train.py dialogues.jsonl.gz checkpoint/ --minutes 100
    python train.py dialogues.jsonl.gz checkpoint/ --minutes 100 --start model/ --lr 1.5e-3

The second line goes on from a prepared model. Writes a checkpoint in Hugging Face form (config.json,
model.safetensors, tokenizer files), which `flashbulb prepare` turns into the prepared model beside this file. The
schedule follows the clock, so a slower machine sees fewer tokens but still finishes its learning-rate decay on time.

A conversation is `<s>`, then every turn followed by a newline, then `</s>`. Both speakers of the corpus talk alike, so
no role marker is spent on telling them apart: a newline hands over the word, and ends the model's answer.
"""

import argparse
import gzip
import json
import math
import random
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import nn
from torch.nn import functional as F

VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS, FFN = 4096, 512, 256, 6, 4, 3072
PAD, BOS, EOS = 1, 0, 2  # OPT's own: <s> is never learned from padding because nothing is padded
CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}{% if message['role'] != 'system' %}"
    "{{ message['content'] | replace('\\r', '') | replace('\\n', ' ') | trim }}{{ '\\n' }}"
    "{% endif %}{% endfor %}"
)


# ---------------------------------------------------------------------------------------------------- data
def read_conversations(path, split):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [[" ".join(turn.split()) for turn in row["turns"]] for row in rows if row["split"] == split]


def train_tokenizer(conversations):
    tokenizer = Tokenizer(models.BPE())
    # Digits one by one and no merge across a newline: a newline ends a turn and has to stay one token.
    pattern = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\n|\s+(?!\S)|\s+"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<s>", "<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(("\n".join(turns) + "\n" for turns in conversations), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    return tokenizer


def encode(tokenizer, turns):
    text = "".join(turn + "\n" for turn in turns)
    return [BOS, *tokenizer.encode(text, add_special_tokens=False).ids, EOS]


def batches(stream_of, sequences, seed):
    """Endless batches [sequences, CONTEXT + 1]; each epoch shuffles the conversations and cuts at a new offset."""
    rng = random.Random(seed)
    while True:
        conversations = stream_of[:]
        rng.shuffle(conversations)
        stream = np.concatenate(conversations)[rng.randrange(CONTEXT) :]
        rows = (len(stream) - 1) // CONTEXT
        cut = [stream[i * CONTEXT : (i + 1) * CONTEXT + 1] for i in range(rows)]
        rng.shuffle(cut)
        for i in range(0, rows - sequences + 1, sequences):
            yield torch.from_numpy(np.stack(cut[i : i + sequences]).astype(np.int64))


# --------------------------------------------------------------------------------------------------- model
class Block(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, FFN), nn.Linear(FFN, WIDTH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(batch, length, WIDTH)))
        active = F.relu(self.fc1(self.norm2(x)))
        return x + self.dropout(self.fc2(active)), active.mean(), (active > 0).float().mean()


class Model(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block(dropout) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.dropout = nn.Dropout(dropout)
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                residual = name.endswith(("out.weight", "fc2.weight"))
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * LAYERS) if residual else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)

    def forward(self, ids):
        x = self.dropout(self.tokens(ids) + self.positions.weight[: ids.shape[1]])
        sizes, densities = [], []
        for block in self.blocks:
            x, size, density = block(x)
            sizes.append(size)
            densities.append(density)
        return self.norm(x) @ self.tokens.weight.T, torch.stack(sizes), torch.stack(densities)

    def loss(self, ids, l1):
        """Cross entropy [nats a token] plus the L1 norm of the activations, weighted by layer; densities by layer."""
        logits, sizes, densities = self(ids[:, :-1])
        nats = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        return nats + (l1 * sizes).sum(), nats, densities


# ----------------------------------------------------------------------------------------------- optimiser
class Muon(torch.optim.Optimizer):
    """Momentum whose update is made orthogonal by Newton-Schulz steps (Jordan et al., 2024).

    The polynomial is iterated on the small Gram matrix, which for a [256, 3072] weight is far less work.
    """

    def __init__(self, weights, lr, momentum=0.95, weight_decay=0.1):
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @staticmethod
    def orthogonal(update):
        wide = update if update.shape[0] <= update.shape[1] else update.T
        wide = wide / (wide.norm() + 1e-7)
        gram, product = wide @ wide.T, torch.eye(wide.shape[0], device=wide.device)
        for _ in range(5):
            step = 3.4445 * torch.eye(len(gram), device=gram.device) - 4.7750 * gram + 2.0315 * (gram @ gram)
            product, gram = step @ product, step @ gram @ step
        wide = product @ wide
        return wide if update.shape[0] <= update.shape[1] else wide.T

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for weight in group["params"]:
                momentum = self.state[weight].setdefault("momentum", torch.zeros_like(weight))
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = weight.grad.lerp(momentum, group["momentum"])
                scale = 0.2 * math.sqrt(max(update.shape))  # as large as an Adam step
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                for part in zip(weight.chunk(self.parts(weight)), update.chunk(self.parts(weight)), strict=True):
                    part[0].sub_(self.orthogonal(part[1]), alpha=group["lr"] * scale)

    @staticmethod
    def parts(weight):  # query, key and value are three matrices
        return 3 if weight.shape == (3 * WIDTH, WIDTH) else 1


def optimisers(model, lr):
    hidden = [w for n, w in model.named_parameters() if w.ndim == 2 and n.startswith("blocks")]
    others = [w for n, w in model.named_parameters() if not (w.ndim == 2 and n.startswith("blocks"))]
    return Muon(hidden, lr=lr), torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.95), weight_decay=0.01)


# ---------------------------------------------------------------------------------------------- evaluation
@torch.no_grad()
def evaluate(model, tokenizer, conversations, device):
    """Bits per byte and density by layer over whole conversations, each from its own start, cut at the context."""
    model.eval()
    nats = bytes_ = tokens = 0
    density = torch.zeros(LAYERS, device=device)
    for turns in conversations:
        ids = encode(tokenizer, turns)[:-1]
        bytes_ += sum(len((turn + "\n").encode()) for turn in turns)
        for start in range(0, len(ids) - 1, CONTEXT):
            row = torch.tensor(ids[start : start + CONTEXT + 1], device=device)[None]
            logits, _, densities = model(row[:, :-1])
            nats += F.cross_entropy(logits[0], row[0, 1:], reduction="sum").item()
            tokens += row.shape[1] - 1
            density += densities * (row.shape[1] - 1)
    model.train()
    return nats / math.log(2) / bytes_, nats / tokens, (density / tokens).tolist()


# ------------------------------------------------------------------------------------------------- writing
def save_checkpoint(model, tokenizer, folder):
    """The model as Hugging Face's OPTForCausalLM keeps it, in bfloat16."""
    folder.mkdir(parents=True, exist_ok=True)
    p = "model.decoder."
    tensors = {p + "embed_tokens.weight": model.tokens.weight, p + "final_layer_norm.weight": model.norm.weight}
    tensors[p + "final_layer_norm.bias"] = model.norm.bias
    # OPT's position table starts two rows late; those two are never read.
    tensors[p + "embed_positions.weight"] = torch.cat(
        [torch.zeros(2, WIDTH).to(model.positions.weight), model.positions.weight]
    )
    for i, block in enumerate(model.blocks):
        parts = {"self_attn.out_proj": block.out, "fc1": block.fc1, "fc2": block.fc2}
        parts |= {"self_attn_layer_norm": block.norm1, "final_layer_norm": block.norm2}
        for name, part in parts.items():
            tensors[f"{p}layers.{i}.{name}.weight"], tensors[f"{p}layers.{i}.{name}.bias"] = part.weight, part.bias
        for name, weight, bias in zip("qkv", block.qkv.weight.chunk(3), block.qkv.bias.chunk(3), strict=True):
            tensors[f"{p}layers.{i}.self_attn.{name}_proj.weight"] = weight
            tensors[f"{p}layers.{i}.self_attn.{name}_proj.bias"] = bias
    tensors = {name: t.detach().cpu().to(torch.bfloat16).contiguous() for name, t in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    newline = tokenizer.token_to_id("Ċ")
    config = {
        "architectures": ["OPTForCausalLM"], "model_type": "opt", "activation_function": "relu",
        "vocab_size": VOCABULARY, "hidden_size": WIDTH, "word_embed_proj_dim": WIDTH, "ffn_dim": FFN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "max_position_embeddings": CONTEXT,
        "do_layer_norm_before": True, "enable_bias": True, "layer_norm_elementwise_affine": True,
        "tie_word_embeddings": True, "torch_dtype": "bfloat16",
        "bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": EOS,
    }  # fmt: skip
    generation = {"bos_token_id": BOS, "pad_token_id": PAD, "eos_token_id": [EOS, newline]}
    generation |= {"do_sample": True, "temperature": 0.7, "top_p": 0.9}
    tokenizer_config = {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>",
        "model_max_length": CONTEXT, "clean_up_tokenization_spaces": False, "chat_template": CHAT_TEMPLATE,
    }  # fmt: skip
    files = {"config": config, "generation_config": generation, "tokenizer_config": tokenizer_config}
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"))


# ------------------------------------------------------------------------------------------------- reading
@torch.no_grad()
def load_prepared(model, folder):
    """Weights of a prepared model (resident.safetensors, bundles.safetensors), to go on from."""
    resident, bundles = load_file(folder / "resident.safetensors"), load_file(folder / "bundles.safetensors")
    model.tokens.weight.copy_(resident["model.embed_tokens.weight"])
    model.positions.weight.copy_(resident["model.embed_positions.weight"][2:])
    pairs = [(f"model.layers.{i}.self_attn.out_proj", block.out) for i, block in enumerate(model.blocks)]
    for i, block in enumerate(model.blocks):
        layer = f"model.layers.{i}."
        pairs += [(layer + "self_attn_layer_norm", block.norm1), (layer + "final_layer_norm", block.norm2)]
        for part in ("weight", "bias"):
            rows = [resident[f"{layer}self_attn.{name}_proj.{part}"] for name in "qkv"]
            getattr(block.qkv, part).copy_(torch.cat(rows))
        block.fc1.weight.copy_(bundles[f"layers.{i}"][:, :WIDTH])
        block.fc2.weight.copy_(bundles[f"layers.{i}"][:, WIDTH : 2 * WIDTH].T)
        block.fc1.bias.copy_(resident[f"ffn.{i}.input_bias"])
        block.fc2.bias.copy_(resident[f"ffn.{i}.down_bias"])
    for name, part in [*pairs, ("model.final_layer_norm", model.norm)]:
        part.weight.copy_(resident[f"{name}.weight"])
        part.bias.copy_(resident[f"{name}.bias"])


# -------------------------------------------------------------------------------------------------- train
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=100)
    parser.add_argument("--sequences", type=int, default=8, help="sequences of 512 tokens a step")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--density", type=float, default=0.05, help="share of active neurons to steer each layer to")
    parser.add_argument("--steps", type=int, help="end after this many steps (a trial)")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--start", type=Path, help="a prepared model of the same shape to go on from")
    args = parser.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, heldout = (read_conversations(args.corpus, split) for split in ("train", "heldout"))
    # What is watched while training comes from the train split; the held-out split is looked at once, at the end.
    train, watched = train[40:], train[:40]
    tokenizer = Tokenizer.from_file(str(args.start / "tokenizer.json")) if args.start else train_tokenizer(train)
    data = batches([np.array(encode(tokenizer, turns), np.uint16) for turns in train], args.sequences, seed=0)
    model = Model(args.dropout)
    if args.start:
        load_prepared(model, args.start)
    model = model.to(device)
    loss_of = torch.compile(model.loss) if args.compile else model.loss
    opts = optimisers(model, args.lr)
    peaks = [group["lr"] for opt in opts for group in opt.param_groups]
    log_l1 = torch.full((LAYERS,), math.log(1e-3), device=device)
    started = saved = time.monotonic()
    step = 0
    while True:
        done = (time.monotonic() - started) / (60 * args.minutes) if not args.steps else step / args.steps
        if done >= 1:
            break
        rate = min(1, (step + 1) / 40) * min(1, (1 - done) / 0.7)  # short warm-up, flat, then linear to zero
        for group, peak in zip((g for opt in opts for g in opt.param_groups), peaks, strict=True):
            group["lr"] = peak * rate
        # The L1 weight comes in over the first fifth, then each layer's follows its distance from the wanted density.
        loss, nats, densities = loss_of(next(data).to(device), log_l1.exp() * min(1, done / 0.2))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        log_l1 += 0.03 * (densities.detach() / args.density - 1).clamp(-0.5, 0.5)
        log_l1.clamp_(math.log(1e-4), math.log(1.0))
        step += 1
        if step % 50 == 0 or step in (5, 20):
            seconds = time.monotonic() - started
            layers = " ".join(f"{d:.3f}" for d in densities.tolist())
            speed = step * args.sequences * CONTEXT / seconds
            print(
                f"{seconds:7.0f} s  step {step}  nats {nats.item():.3f}  density {layers}  {speed:.0f} tokens/s",
                flush=True,
            )
        if time.monotonic() - saved > 600:
            saved = time.monotonic()
            bits, nats, _ = evaluate(model, tokenizer, watched, device)
            print(f"watched: {bits:.4f} bits per byte, {nats:.4f} nats a token", flush=True)
            save_checkpoint(model, tokenizer, args.out)
    save_checkpoint(model, tokenizer, args.out)
    bits, nats, density = evaluate(model, tokenizer, heldout, device)
    report = {
        "minutes": (time.monotonic() - started) / 60, "steps": step, "tokens": step * args.sequences * CONTEXT,
        "device": device, "heldout_bits_per_byte": bits, "heldout_nats_per_token": nats,
        "sparsity": [1 - d for d in density], "mean_sparsity": 1 - sum(density) / LAYERS,
    }  # fmt: skip
    (args.out / "training.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
