"""Tiny random decoders with what transformers makes of them, as the oracle of test/architectures/decoders.test.ts.

    python make_decoders.py .                # the committed ones: every family and odd config once
    python make_decoders.py OUT --sweep 300  # random shapes of every family, to compare by `npm run model -- verify`

Each folder holds config.json, model.safetensors and expected.json (input ids, attention mask, logits). Made with torch
2.15 and transformers 5.24, f32 on the CPU.
"""

import argparse, copy, json, pathlib, random
import torch, transformers
from transformers.utils import logging
from safetensors.torch import load_file, save_file

torch.set_grad_enabled(False)
logging.disable_progress_bar()
FAMILIES = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma3_text": "Gemma3"}


def rounded(tensor):
    return [rounded(row) for row in tensor] if tensor.ndim > 0 else round(tensor.item(), 6)


def sizes(**changes):
    """Fields of a config, small and far from the defaults."""
    fields = dict(
        vocab_size=41,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        num_key_value_heads=1,
        head_dim=6,
        intermediate_size=20,
        max_position_embeddings=32,
        initializer_range=0.3,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    fields |= changes
    if fields["head_dim"] is None:
        del fields["head_dim"]
    return fields


def old_form(config):
    """As transformers 4 wrote it."""
    rope = config.pop("rope_parameters")
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.51.0"
    if "full_attention" in rope:  # Gemma
        full, sliding = rope["full_attention"], rope["sliding_attention"]
        config["rope_theta"], config["rope_local_base_freq"] = full.pop("rope_theta"), sliding.pop("rope_theta")
        config.pop("layer_types")
        config["sliding_window_pattern"] = config.pop("_sliding_window_pattern")
        rope = full
    else:
        config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    return config


def rewrite(folder, forget=(), old=False, kind=False, sets=None, bare=False, buffers=False, output=False):
    """As other writers left such files: fields missing or null, older forms, no prefix, more tensors than read."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if old:
        config = old_form(config)
    if kind:  # the name of its name in the oldest files
        config["rope_scaling"]["type"] = config["rope_scaling"].pop("rope_type")
    for name in forget:
        config.pop(name, None)
    config.update(sets or {})
    path.write_text(json.dumps(config, indent=2) + "\n")
    tensors = load_file(folder / "model.safetensors")
    if buffers:
        tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(3)
    if output:  # a tied model's output layer, saved once more
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone()
    if bare:
        tensors = {name.removeprefix("model."): value for name, value in tensors.items()}
    tensors = {name: value.contiguous() for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make(out, name, family, fields, dtype="float32", seed=0, tokens=11, left=False, **written):
    torch.manual_seed(seed)
    prefix = FAMILIES[family]
    config = getattr(transformers, prefix + ("TextConfig" if family == "gemma3_text" else "Config"))(**fields)
    model = getattr(transformers, prefix + "ForCausalLM")(config).eval().float()
    for _, parameter in model.named_parameters():  # norms and biases away from their trivial starts
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) * 0.2)
        parameter.copy_(parameter.to(getattr(torch, dtype)).float())
    folder = out / name
    # A copy: the rope's frequencies would be rounded too, and stay so.
    copy.deepcopy(model).to(getattr(torch, dtype)).save_pretrained(folder)
    rewrite(folder, **written)
    ids = torch.randint(3, config.vocab_size, (2, tokens))
    mask = torch.ones_like(ids)
    kept = max(1, tokens * 2 // 3)
    beside = slice(0, tokens - kept) if left else slice(kept, tokens)
    ids[1, beside], mask[1, beside] = 0, 0
    logits = model(input_ids=ids, attention_mask=mask).logits
    expected = dict(input_ids=ids.tolist(), attention_mask=mask.tolist(), logits=rounded(logits))
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def llama3(**changes):
    base = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0)
    return {**base, "original_max_position_embeddings": 16, **changes}


def yarn(**changes):
    return {**dict(rope_type="yarn", rope_theta=300.0, factor=4.0, original_max_position_embeddings=8), **changes}


def committed(out):
    make(
        out,
        "llama-all-biases",
        "llama",
        sizes(attention_bias=True, mlp_bias=True, num_key_value_heads=3, hidden_act="gelu_pytorch_tanh"),
    )
    make(
        out,
        "llama-linear-oldest-form",
        "llama",
        sizes(
            rope_parameters=dict(rope_type="linear", rope_theta=700.0, factor=2.5), head_dim=8, tie_word_embeddings=True
        ),
        old=True,
        kind=True,
        buffers=True,
        forget=["head_dim", "attention_bias", "mlp_bias"],
    )
    make(
        out,
        "llama-llama3-bf16",
        "llama",
        sizes(
            rope_parameters=llama3(),
            head_dim=16,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=64,
        ),
        dtype="bfloat16",
        tokens=20,
        old=True,
        left=True,
    )
    make(
        out,
        "llama-yarn",
        "llama",
        sizes(rope_parameters=yarn(), head_dim=20, tie_word_embeddings=True),
        tokens=24,
        output=True,
    )
    make(
        out,
        "llama-yarn-factors",
        "llama",
        sizes(
            rope_parameters=yarn(attention_factor=1.3, beta_fast=4.0, beta_slow=0.5, truncate=False),
            head_dim=12,
            num_key_value_heads=None,
        ),
        tokens=24,
    )
    make(
        out,
        "llama-yarn-mscale",
        "llama",
        sizes(rope_parameters=yarn(mscale=0.7, mscale_all_dim=1.2), num_hidden_layers=1),
        tokens=24,
    )
    make(
        out,
        "llama-dynamic-bare",
        "llama",
        sizes(rope_parameters=dict(rope_type="dynamic", rope_theta=900.0, factor=3.0), tie_word_embeddings=True),
        bare=True,
        sets={"architectures": ["LlamaModel"]},
    )
    make(
        out,
        "mistral-window-old-form",
        "mistral",
        sizes(sliding_window=4, head_dim=10, num_attention_heads=4, num_key_value_heads=2),
        old=True,
        left=True,
        tokens=14,
    )
    make(
        out,
        "mistral-no-window-f16",
        "mistral",
        sizes(sliding_window=None, head_dim=8, num_hidden_layers=1),
        dtype="float16",
    )
    make(
        out,
        "mistral-window-of-one",
        "mistral",
        sizes(sliding_window=1, num_hidden_layers=2),
    )
    make(
        out,
        "qwen2-upper-layers-slide",
        "qwen2",
        sizes(
            num_hidden_layers=3,
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
            tie_word_embeddings=True,
        ),
        tokens=13,
        old=True,
        forget=["layer_types"],
    )
    make(
        out,
        "qwen2-window-unused",
        "qwen2",
        sizes(use_sliding_window=False, sliding_window=3, num_attention_heads=3, num_key_value_heads=3, head_dim=None),
    )
    make(
        out,
        "qwen3-layer-types-biases",
        "qwen3",
        sizes(
            hidden_size=18,
            attention_bias=True,
            head_dim=14,
            use_sliding_window=True,
            sliding_window=6,
            layer_types=["sliding_attention", "full_attention"],
            rms_norm_eps=1e-3,
        ),
        tokens=15,
    )
    make(
        out,
        "qwen3-yarn-tied-bf16",
        "qwen3",
        sizes(head_dim=32, num_attention_heads=2, rope_parameters=yarn(), tie_word_embeddings=True),
        dtype="bfloat16",
        tokens=24,
        old=True,
        left=True,
    )
    gemma_ropes = dict(
        full_attention=dict(rope_type="linear", rope_theta=800.0, factor=4.0),
        sliding_attention=dict(rope_type="default", rope_theta=50.0),
    )
    make(
        out,
        "gemma3-old-form",
        "gemma3_text",
        sizes(
            num_hidden_layers=3,
            head_dim=10,
            sliding_window=4,
            sliding_window_pattern=2,
            query_pre_attn_scalar=24,
            final_logit_softcapping=3.0,
            rope_parameters=gemma_ropes,
            rms_norm_eps=1e-3,
        ),
        tokens=16,
        old=True,
        left=True,
    )
    make(
        out,
        "gemma3-untied-biases",
        "gemma3_text",
        sizes(
            attention_bias=True,
            tie_word_embeddings=False,
            hidden_activation="silu",
            num_key_value_heads=3,
            sliding_window=5,
            layer_types=["full_attention", "sliding_attention"],
            query_pre_attn_scalar=6,
        ),
        tokens=13,
    )


def swept_rope(pick):
    theta = pick([50.0, 10000.0, 1000000.0])
    return dict(rope_theta=theta) | pick(
        [
            dict(rope_type="default"),
            dict(rope_type="default"),
            dict(rope_type="linear", factor=pick([2.0, 3.7])),
            dict(rope_type="dynamic", factor=2.0),
            llama3(rope_theta=theta, factor=pick([2.0, 8.0]), original_max_position_embeddings=pick([8, 32])),
            yarn(rope_theta=theta, factor=pick([2.0, 8.0]), original_max_position_embeddings=pick([8, 16])),
            yarn(rope_theta=theta, beta_fast=pick([2.0, 32.0]), truncate=pick([True, False])),
        ]
    )


def swept(family, pick):
    shared = pick([1, 2, 3])
    kept = pick([1, 2, 4])
    layers = pick([1, 2, 3, 7])
    fields = sizes(
        vocab_size=pick([61, 97]),
        hidden_size=shared * kept * pick([2, 3, 8]),
        num_hidden_layers=layers,
        num_attention_heads=shared * kept,
        num_key_value_heads=kept,
        head_dim=pick([4, 6, 8, 10, 16, 18, 32, 48]),
        intermediate_size=pick([8, 20, 41]),
        max_position_embeddings=64,
        rms_norm_eps=pick([1e-6, 1e-5, 1e-2]),
        tie_word_embeddings=pick([True, False]),
    )
    if family == "gemma3_text":
        return fields | dict(
            sliding_window=pick([1, 2, 5, 16, 4096]),
            sliding_window_pattern=pick([1, 2, 3, 6]),
            query_pre_attn_scalar=pick([4, 17, 256]),
            final_logit_softcapping=pick([None, 2.0, 30.0]),
            attention_bias=pick([True, False]),
            hidden_activation=pick(["gelu_pytorch_tanh", "silu"]),
            rope_parameters=dict(full_attention=swept_rope(pick), sliding_attention=swept_rope(pick)),
        )
    fields |= dict(rope_parameters=swept_rope(pick), hidden_act=pick(["silu", "gelu", "relu"]))
    if family in ("llama", "qwen3"):
        fields |= dict(attention_bias=pick([True, False]))
    if family == "llama":
        fields |= dict(mlp_bias=pick([True, False]))
    if family == "mistral":
        fields |= dict(sliding_window=pick([None, 1, 3, 9, 4096]))
    if family in ("qwen2", "qwen3"):
        fields |= dict(
            use_sliding_window=pick([True, False]),
            sliding_window=pick([1, 4, 4096]),
            max_window_layers=pick([0, 1, 28]),
        )
    return fields


def sweep(out, count, seed):
    rng = random.Random(seed)
    for at in range(count):
        family = rng.choice([*FAMILIES])
        fields = swept(family, rng.choice)
        ropes = fields["rope_parameters"]
        both = "sliding_attention" in ropes  # the old form has one base for these and nothing else
        old = rng.random() < 0.5 and (not both or ropes["sliding_attention"]["rope_type"] == "default")
        make(
            out,
            f"{at:03}-{family}",
            family,
            fields,
            dtype=rng.choice(["float32", "float32", "float16", "bfloat16"]),
            seed=at,
            tokens=rng.choice([1, 2, 9, 17, 41, 64]),
            left=rng.random() < 0.3,
            old=old,
            bare=rng.random() < 0.2 and fields["tie_word_embeddings"],
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--sweep", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.sweep:
        sweep(given.out, given.sweep, given.seed)
    else:
        committed(given.out)
