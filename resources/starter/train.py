"""Train Flashbulb's starter model: a small ReLU OPT that makes small talk.

    pip install torch==2.13.0 numpy tokenizers safetensors
    python train.py dialogues.jsonl.gz checkpoint/ --minutes 100
    python train.py dialogues.jsonl.gz checkpoint/ --minutes 100 --start model/ --lr 2e-3

The second line goes on from a prepared model. Without a GPU a C compiler is needed too, for sparse_ffn.c. Writes a
checkpoint in Hugging Face form (config.json, model.safetensors, tokenizer files), which `flashbulb prepare` turns into
the prepared model beside this file. The schedule follows the clock, so a slower machine sees fewer tokens but still
finishes its learning-rate decay on time.

A conversation is `<s>`, then every turn followed by a newline, then `</s>`. Both speakers of the corpus talk alike, so
no role marker is spent on telling them apart: a newline hands over the word, and ends the model's answer.
"""

import argparse
import ctypes
import gzip
import json
import math
import random
import subprocess
import sys
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


# ----------------------------------------------------------------------------------- sparse products on a CPU
def pointer(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def build_kernels(folder):
    """The products of sparse_ffn.c, compiled for this machine."""
    library = folder / "sparse_ffn.so"
    flags = ["-O3", "-march=native", "-fopenmp", "-shared", "-fPIC", f"-DWIDTH={WIDTH}", f"-DFFN={FFN}"]
    source = Path(__file__).with_name("sparse_ffn.c")
    subprocess.run(["cc", *flags, str(source), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


def keep_freed_memory():
    """Large buffers come back every step; without this each is a fresh mapping, faulted in page by page (1.4 x)."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.mallopt(-4, 0)  # M_MMAP_MAX
        libc.mallopt(-1, 2**31 - 1)  # M_TRIM_THRESHOLD


class SparseFFN(torch.autograd.Function):
    """relu(x w1ᵀ + b1) w2ᵀ + b2 with every product but the first over the active neurons alone.

    x [tokens, WIDTH]. Returns y [tokens, WIDTH], the mean activation and the share of active neurons.
    """

    @staticmethod
    def forward(ctx, x, w1, b1, w2, b2, kernels):
        tokens, w2t, y = len(x), w2.T.contiguous(), torch.empty_like(x)
        index, value = torch.empty(tokens, FFN, dtype=torch.int16), torch.empty(tokens, FFN)
        count, total = torch.empty(tokens, dtype=torch.int32), torch.empty(tokens)
        for rows in range(0, tokens, 512):
            h = torch.addmm(b1, x[rows : rows + 512], w1.T)
            parts = (y, index, value, count, total)
            pointers = (pointer(part[rows:]) for part in parts)
            kernels.forward(ctypes.c_long(len(h)), pointer(h), pointer(w2t), pointer(b2), *pointers)
        ctx.save_for_backward(x, w1, w2t, index, value, count)
        ctx.kernels = kernels
        density = count.sum() / (tokens * FFN)
        ctx.mark_non_differentiable(density)
        return y, total.sum() / (tokens * FFN), density

    @staticmethod
    def backward(ctx, dy, dsize, _):
        x, w1, w2t, index, value, count = ctx.saved_tensors
        dy, tokens = dy.contiguous(), ctypes.c_long(len(x))
        dh, dx = torch.empty_like(value), torch.empty_like(x)
        dw1, dw2t, db1 = torch.zeros_like(w1), torch.zeros_like(w2t), torch.zeros(FFN)
        penalty = ctypes.c_float(dsize.item() / value.numel())
        parts = (dy, w1, w2t, index, count)
        ctx.kernels.backward_tokens(tokens, *map(pointer, parts), penalty, pointer(dh), pointer(dx))
        parts = (x, dy, index, value, dh, count, dw1, dw2t, db1)
        ctx.kernels.backward_weights(tokens, *map(pointer, parts))
        return dx, dw1, db1, dw2t.T, dy.sum(0), None


class CrossEntropy(torch.autograd.Function):
    """Mean nats a token of x Eᵀ against targets, a few rows of logits at a time, gradients in the same pass."""

    @staticmethod
    def forward(ctx, x, embedding, targets):
        nats, dx, dembedding = 0.0, torch.empty_like(x), torch.zeros_like(embedding)
        for rows in range(0, len(x), 512):
            part, wanted = x[rows : rows + 512], targets[rows : rows + 512, None]
            logits = part @ embedding.T
            normaliser = logits.logsumexp(1, keepdim=True)
            nats += (normaliser - logits.gather(1, wanted)).sum()
            error = logits.sub_(normaliser).exp_()
            error.scatter_add_(1, wanted, error.new_full(wanted.shape, -1.0))
            torch.mm(error, embedding, out=dx[rows : rows + 512])
            dembedding.addmm_(error.T, part)
        ctx.save_for_backward(dx, dembedding)
        return nats / len(x)

    @staticmethod
    def backward(ctx, scale):
        dx, dembedding = ctx.saved_tensors
        return dx * (scale / len(dx)), dembedding * (scale / len(dx)), None


# --------------------------------------------------------------------------------------------------- model
class Block(nn.Module):
    def __init__(self, dropout, kernels):
        super().__init__()
        self.kernels = kernels
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, FFN), nn.Linear(FFN, WIDTH)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(attended.transpose(1, 2).reshape(batch, length, WIDTH)))
        change, size, density = self.ffn(self.norm2(x))
        return x + self.dropout(change), size, density

    def ffn(self, x):
        """The FFN's result, its mean activation and the share of neurons that are active."""
        if self.kernels:
            weights = (self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)
            y, size, density = SparseFFN.apply(x.flatten(0, 1), *weights, self.kernels)
            return y.view(x.shape), size, density
        active = F.relu(self.fc1(x))
        return self.fc2(active), active.mean(), (active > 0).float().mean()


class Model(nn.Module):
    def __init__(self, dropout, kernels=None):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block(dropout, kernels) for _ in range(LAYERS))
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
        return self.norm(x), torch.stack(sizes), torch.stack(densities)

    def loss(self, ids, l1):
        """Cross entropy [nats a token] plus the L1 norm of the activations, weighted by layer; densities by layer."""
        hidden, sizes, densities = self(ids[:, :-1])
        nats = CrossEntropy.apply(hidden.flatten(0, 1), self.tokens.weight, ids[:, 1:].flatten())
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
            hidden, _, densities = model(row[:, :-1])
            logits = hidden[0] @ model.tokens.weight.T
            nats += F.cross_entropy(logits, row[0, 1:], reduction="sum").item()
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
def begin(args, device):
    """The model as it is before the first step."""
    if device == "cpu":
        keep_freed_memory()
    model = Model(args.dropout, build_kernels(args.out) if device == "cpu" else None)
    if args.start:
        load_prepared(model, args.start)
    return model.to(device)


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
    parser.add_argument("--start", type=Path, help="a prepared model of the same shape to go on from")
    args = parser.parse_args()

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    train, heldout = (read_conversations(args.corpus, split) for split in ("train", "heldout"))
    # What is watched while training comes from the train split; the held-out split is looked at once, at the end.
    train, watched = train[40:], train[:40]
    tokenizer = Tokenizer.from_file(str(args.start / "tokenizer.json")) if args.start else train_tokenizer(train)
    data = batches([np.array(encode(tokenizer, turns), np.uint16) for turns in train], args.sequences, seed=0)
    args.out.mkdir(parents=True, exist_ok=True)
    model = begin(args, device)
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
        loss, nats, densities = model.loss(next(data).to(device), log_l1.exp() * min(1, done / 0.2))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        # It falls faster than it rises: neurons that a too heavy weight put to death do not come back.
        log_l1 += 0.03 * (densities.detach() / args.density - 1).clamp(-1.0, 0.5)
        log_l1.clamp_(math.log(1e-5), math.log(1.0))
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
