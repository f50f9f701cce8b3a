"""Adapters as PEFT saves them, on the small random taggers of ../library-checkpoints, on a model there that finds
answers and on all-MiniLM-L6-v2, and the logits that PEFT and transformers compute with them: the oracle of
test/checkpoints/peft-adapters.test.ts.

    python -m venv .bench/peft && .bench/peft/bin/pip install peft==0.21.2 torch==2.15.0 transformers==5.24.0
    .bench/peft/bin/python test/checkpoints/peft-adapters/make_adapters.py ../shared/models/all-MiniLM-L6-v2

writes a folder for each adapter, and expected.json: by adapter, its base and for each text its ids and the logits of
its tokens. Made in f32 on the CPU.
"""
import json, pathlib, sys

import torch, transformers
from peft import LoraConfig, get_peft_model

transformers.logging.set_verbosity_error()
torch.set_grad_enabled(False)
torch.set_num_threads(1)

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent))
from peft_saved import rounded, save

BASES = HERE.parent / "library-checkpoints"
MINILM = pathlib.Path(sys.argv[1])
LABELS = ["O", "B-A", "I-A"]

FEED_FORWARD = ["intermediate.dense", "output.dense"]
ATTENTION = ["query", "key", "value", "attention.output.dense"]
PATTERNS = dict(
    rank_pattern={"layer.0.attention.self.query": 5, "intermediate.dense": 9},
    alpha_pattern={"^bert.encoder.layer.1.attention.self.query": 3},
)


def lora(family, rank, alpha, targets, task_type="TOKEN_CLS", **more):
    config = dict(task_type=task_type, bias="none", r=rank, lora_alpha=alpha, target_modules=targets)
    return family, LoraConfig(**config, **more)


ADAPTERS = {
    "bert-query-value": lora("bert", 4, 8, ["query", "value"]),
    "bert-all-linear": lora(
        "bert", 3, 16, ATTENTION + FEED_FORWARD, use_rslora=True, exclude_modules=[".*pooler.*"]
    ),
    "bert-patterns": lora("bert", 2, 6, ["query", "intermediate.dense"], **PATTERNS),
    "bert-one-layer": lora("bert", 2, 4, ["value"], layers_to_transform=[1], layers_pattern="layer"),
    "distilbert-attention": lora("distilbert", 4, 4, ["q_lin", "k_lin", "v_lin", "out_lin"]),
    "electra-feed-forward": lora("electra", 2, 8, FEED_FORWARD),
    "roberta-value-output": lora("roberta", 6, 12, ["value", "attention.output.dense"]),
    "xlm-roberta-key": lora("xlm-roberta", 1, 2, ["key", "query"]),
    "minilm-query-value": lora("minilm", 2, 4, ["query", "value"]),
    "answers-query-value": lora("bert-answers", 3, 6, ["query", "value"], task_type="QUESTION_ANS"),
}


def base_of(family):
    if family.endswith("-answers"):
        return transformers.AutoModelForQuestionAnswering.from_pretrained(BASES / family)
    if family != "minilm":
        return transformers.AutoModelForTokenClassification.from_pretrained(BASES / f"{family}-tags")
    return transformers.AutoModelForTokenClassification.from_pretrained(MINILM, num_labels=len(LABELS))


def texts_of(model, family):
    vocabulary = min(model.config.vocab_size, 2000)
    longest = 24 if family == "minilm" else 12
    lengths = [longest, 5, 9, 2]
    return [torch.randint(5, vocabulary, (length,)).tolist() for length in lengths]


def logits_of(model, ids):
    given = model(input_ids=torch.tensor([ids]))
    if "logits" in given:
        return given.logits[0]
    return torch.stack([given.start_logits[0], given.end_logits[0]], dim=-1)


def make(name, family, config):
    torch.manual_seed(sum(name.encode()))
    base = base_of(family)
    model = get_peft_model(base, config)
    # As wide as what they are added to, so that nothing that is left out goes unnoticed.
    for key, parameter in model.named_parameters():
        if "lora_" in key or "modules_to_save" in key:
            parameter.copy_(torch.randn_like(parameter) * (0.3 if family == "minilm" else 0.6))
    model.eval()
    texts = texts_of(base, family)
    logits = [logits_of(model, ids) for ids in texts]
    save(model, HERE / name, f"{family}-base")
    given = [{"ids": ids, "logits": rounded(rows, 6)} for ids, rows in zip(texts, logits)]
    return {"base": family, "labels": logits[0].shape[-1], "texts": given}


expected = {name: make(name, *rest) for name, rest in ADAPTERS.items()}
(HERE / "expected.json").write_text(json.dumps(expected) + "\n")
