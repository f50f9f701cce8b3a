"""Soft prompts as PEFT saves them: of the small random decoders of test/architectures/decoders, with the logits and
the greedy tokens that PEFT and transformers compute, the oracle of test/checkpoints/peft-prompts.test.ts; and of the
small random taggers of ../library-checkpoints, the oracle of test/checkpoints/peft-encoder-prompts.test.ts.

    python -m venv .bench/peft && .bench/peft/bin/pip install peft==0.21.2 torch==2.15.0 transformers==5.24.0
    .bench/peft/bin/python test/checkpoints/peft-prompts/make_prompts.py

writes a folder for each, and expected.json: by its name, its base and for each text its ids, the logits of its own
tokens, and the tokens that follow, the likeliest each. Beside it training.json, ten steps of AdamW on such a prompt:
the oracle of test/training/soft-prompts.test.ts; and encoders.json, by prompt of an encoder its base, and for each text
its ids and the mean of the logits of all its tokens, virtual ones too: a linear classifier on the mean of their
vectors. Made in f32 on the CPU.
"""
import json, pathlib, sys

import torch, transformers
from peft import PromptTuningConfig, get_peft_model

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent))
from peft_saved import greedy, rounded, save

BASES = HERE.parent.parent / "architectures" / "decoders"

PROMPTS = {
    "llama-five": ("llama-all-biases", 5),
    "llama-nine": ("llama-all-biases", 9),
    "mistral-one": ("mistral-window-old-form", 1),
    "qwen3-three": ("qwen3-yarn-tied-bf16", 3),
    "gemma3-four": ("gemma3-old-form", 4),
}
TAGGERS = HERE.parent / "library-checkpoints"
ENCODERS = {"bert-four": ("bert", 4), "roberta-two": ("roberta", 2), "distilbert-one": ("distilbert", 1)}
TRAINED = {"llama-all-biases": 3e-2, "gemma3-old-form": 3e-1}


def prompted(base_name, tokens):
    base = transformers.AutoModelForCausalLM.from_pretrained(BASES / base_name, dtype=torch.float32)
    config = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=tokens)
    return get_peft_model(base, config)


def table_of(model):
    return model.prompt_encoder["default"].embedding.weight


@torch.no_grad()
def make(name, base_name, tokens):
    torch.manual_seed(sum(name.encode()))
    model = prompted(base_name, tokens).eval()
    words = model.get_input_embeddings().weight
    # As wide as words are: what is left out cannot go unnoticed.
    scale = model.base_model.config.hidden_size ** 0.5 if "gemma" in base_name else 1
    table_of(model).copy_(torch.randn_like(table_of(model)) * words.std() * scale * 2)
    texts = [torch.randint(3, len(words), (length,)).tolist() for length in (11, 4, 1)]
    given = []
    for ids in texts:
        logits = rounded(model(input_ids=torch.tensor([ids])).logits[0, tokens:], 5)
        given.append({"ids": ids, "logits": logits, "greedy": greedy(model, ids, 8)})
    save(model, HERE / name, base_name)
    return {"base": base_name, "texts": given}


def train(base_name, rate):
    torch.manual_seed(5)
    model = prompted(base_name, 4).eval()  # No dropout; gradients flow all the same.
    vocabulary = len(model.get_input_embeddings().weight)
    start = table_of(model).tolist()
    optimizer = torch.optim.AdamW([table_of(model)], lr=rate, weight_decay=0)
    steps = []
    for _ in range(10):
        texts = [torch.randint(3, vocabulary, (length,)).tolist() for length in (9, 5, 12)]
        longest = max(map(len, texts))
        pad = [longest - len(ids) for ids in texts]
        # The first three tokens of each are read and not learnt.
        labels = [[-100] * 3 + ids[3:] + [-100] * more for ids, more in zip(texts, pad)]
        padded = [ids + [0] * more for ids, more in zip(texts, pad)]
        mask = [[1] * len(ids) + [0] * more for ids, more in zip(texts, pad)]
        given = dict(input_ids=padded, attention_mask=mask, labels=labels)
        loss = model(**{key: torch.tensor(value) for key, value in given.items()}).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([table_of(model)], 1.0)
        optimizer.step()
        steps.append({"texts": texts, "loss": loss.item()})
    return {"learning_rate": rate, "start": start, "steps": steps, "end": table_of(model).tolist()}


@torch.no_grad()
def make_encoder(name, family, tokens):
    torch.manual_seed(sum(name.encode()))
    base = transformers.AutoModelForTokenClassification.from_pretrained(TAGGERS / f"{family}-tags")
    sizes = base.config
    config = PromptTuningConfig(
        task_type="TOKEN_CLS",
        num_virtual_tokens=tokens,
        token_dim=sizes.hidden_size,
        num_layers=sizes.num_hidden_layers,
        num_attention_heads=sizes.num_attention_heads,
    )
    model = get_peft_model(base, config).eval()
    table_of(model).copy_(torch.randn_like(table_of(model)))
    given = []
    for length in (9, 5, 2):
        ids = torch.randint(5, base.config.vocab_size, (length,)).tolist()
        logits = model(input_ids=torch.tensor([ids])).logits[0].mean(0, keepdim=True)
        given.append({"ids": ids, "logits": rounded(logits, 6)[0]})
    save(model, HERE / name, f"{family}-base", task_type="SEQ_CLS")
    return {"base": family, "texts": given}


encoders = {name: make_encoder(name, *rest) for name, rest in ENCODERS.items()}
(HERE / "encoders.json").write_text(json.dumps(encoders) + "\n")
expected = {name: make(name, *rest) for name, rest in PROMPTS.items()}
(HERE / "expected.json").write_text(json.dumps(expected) + "\n")
training = {name: train(name, rate) for name, rate in TRAINED.items()}
(HERE / "training.json").write_text(json.dumps(training) + "\n")
