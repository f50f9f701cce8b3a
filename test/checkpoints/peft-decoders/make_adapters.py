"""Adapters of decoders as PEFT saves them, on the small random decoders of test/architectures/decoders and those of the
shared folder, with the logits and the greedy tokens that PEFT and transformers compute: the oracle of
test/checkpoints/peft-decoders.test.ts.

    python -m venv .bench/peft && .bench/peft/bin/pip install peft==0.21.2 torch==2.15.0 transformers==5.24.0
    .bench/peft/bin/python test/checkpoints/peft-decoders/make_adapters.py ../shared/models/references/tiny

writes a folder for each adapter, and expected.json: by adapter, its base and for each text its ids, the logits of its
tokens, and the tokens that follow, the likeliest each. Made in f32 on the CPU.
"""
import json, pathlib, sys

import torch, transformers
from peft import LoraConfig, get_peft_model

transformers.logging.set_verbosity_error()
torch.set_grad_enabled(False)
torch.set_num_threads(1)

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent))
from peft_saved import greedy, rounded, save

OWN = HERE.parent.parent / "architectures" / "decoders"
SHARED = pathlib.Path(sys.argv[1])

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
FEED_FORWARD = ["gate_proj", "up_proj", "down_proj"]
EVERY = ATTENTION + FEED_FORWARD


def lora(base, rank, alpha, targets, **more):
    config = dict(task_type="CAUSAL_LM", bias="none", r=rank, lora_alpha=alpha, target_modules=targets)
    return base, LoraConfig(**config, **more)


ADAPTERS = {
    "llama-query-value": lora("llama-all-biases", 4, 8, ["q_proj", "v_proj"]),
    "llama-every-layer": lora("llama-all-biases", 3, 16, EVERY, use_rslora=True),
    "llama-down-in-one": lora(
        "llama-all-biases", 9, 9, ["down_proj"], layers_to_transform=[1], layers_pattern="layers"
    ),
    "mistral-key-output": lora("mistral-window-old-form", 1, 2, ["k_proj", "o_proj"]),
    "qwen2-feed-forward": lora("qwen2-upper-layers-slide", 2, 8, FEED_FORWARD),
    "qwen3-patterns": lora(
        "qwen3-yarn-tied-bf16",
        2,
        6,
        ["q_proj", "gate_proj"],
        rank_pattern={"layers.0.self_attn.q_proj": 5},
        alpha_pattern={"gate_proj": 3},
    ),
    "gemma3-every-layer": lora("gemma3-old-form", 2, 4, EVERY),
    "shared-llama": lora("shared/llama", 2, 4, EVERY),
    "shared-qwen2": lora("shared/qwen2", 2, 4, EVERY),
    "shared-qwen3": lora("shared/qwen3", 2, 4, EVERY),
    "shared-gemma3": lora("shared/gemma3-text", 2, 4, EVERY),
}


def folder_of(base):
    return SHARED / base.removeprefix("shared/") if base.startswith("shared/") else OWN / base


def make(name, base_name, config):
    torch.manual_seed(sum(name.encode()))
    base = transformers.AutoModelForCausalLM.from_pretrained(folder_of(base_name), dtype=torch.float32)
    vocabulary = base.config.vocab_size
    model = get_peft_model(base, config)
    # As wide as what they are added to, so that nothing that is left out goes unnoticed.
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    model.eval()
    texts = [torch.randint(3, vocabulary, (length,)).tolist() for length in (13, 5, 2)]
    given = []
    for ids in texts:
        logits = rounded(model(input_ids=torch.tensor([ids])).logits[0], 5)
        given.append({"ids": ids, "logits": logits, "greedy": greedy(model, ids, 10)})
    save(model, HERE / name, base_name.replace("shared/", "tiny-"))
    return {"base": base_name, "texts": given}


expected = {name: make(name, *rest) for name, rest in ADAPTERS.items()}
(HERE / "expected.json").write_text(json.dumps(expected) + "\n")
