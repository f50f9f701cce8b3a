"""Tiny random encoders with what transformers makes of them, as the oracle of test/architectures/checkpoints.test.ts.

    python make_checkpoints.py .                # the committed ones: every family, head and odd config once
    python make_checkpoints.py OUT --sweep 400  # random shapes of every family, to compare by `npm run model -- verify`

Each folder holds config.json, model.safetensors and expected.json (input ids, attention mask, token types where the
family has them, and each output of the head). Made with torch 2.15 and transformers 5.24, f32 on the CPU.
"""

import argparse, json, pathlib, random
import torch, transformers
from transformers.utils import logging
from safetensors.torch import load_file, save_file

torch.set_grad_enabled(False)
logging.disable_progress_bar()
HEADS = ["SequenceClassification", "TokenClassification", "QuestionAnswering", "MaskedLM", None]
FAMILIES = {
    "bert": "Bert",
    "distilbert": "DistilBert",
    "roberta": "Roberta",
    "xlm-roberta": "XLMRoberta",
    "electra": "Electra",
    "deberta-v2": "DebertaV2",
}
OUTPUTS = ("logits", "start_logits", "end_logits", "last_hidden_state")


def rounded(tensor):
    return [rounded(row) for row in tensor] if tensor.ndim > 0 else round(tensor.item(), 6)


def stack(family, **changes):
    """Fields of a config, small and far from the defaults."""
    fields = dict(
        vocab_size=48,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=20,
        max_position_embeddings=20,
        initializer_range=0.3,
    )
    if family == "distilbert":
        names = dict(
            hidden_size="dim",
            num_hidden_layers="n_layers",
            num_attention_heads="n_heads",
            intermediate_size="hidden_dim",
            hidden_act="activation",
        )
        fields = {names.get(k, k): v for k, v in fields.items()}
        changes = {names.get(k, k): v for k, v in changes.items()}
    return {**fields, **changes}


def rewrite(folder, forget=(), tensor=None, old=False, sets=None, buffers=False):
    """As other writers left such files: fields missing or null, older names, no prefix."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if old:
        config["torch_dtype"] = config.pop("dtype", "float32")
        config["transformers_version"] = "4.3.0"
    for name in forget:
        config.pop(name, None)
    config.update(sets or {})
    path.write_text(json.dumps(config, indent=2) + "\n")
    tensors = load_file(folder / "model.safetensors")
    if buffers:
        name = next(name for name in tensors if name.endswith("position_embeddings.weight"))
        tensors[name.replace("position_embeddings.weight", "position_ids")] = torch.arange(len(tensors[name]))[None]
    tensors = {(tensor or (lambda name: name))(name): value.contiguous() for name, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def make(out, name, family, head, fields, labels=3, dtype="float32", seed=0, tokens=9, left=False, **written):
    torch.manual_seed(seed)
    config = getattr(transformers, FAMILIES[family] + "Config")(**fields)
    if head in ("SequenceClassification", "TokenClassification"):
        config.num_labels = labels
    model = getattr(transformers, FAMILIES[family] + (f"For{head}" if head else "Model"))(config).eval().float()
    for _, parameter in model.named_parameters():  # norms and biases away from their trivial starts, padding's rows too
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) * 0.2)
        parameter.copy_(parameter.to(getattr(torch, dtype)).float())
    folder = out / name
    model.to(getattr(torch, dtype)).save_pretrained(folder)
    model.float()
    rewrite(folder, **written)
    pad = config.pad_token_id
    ids = torch.randint(5, config.vocab_size, (2, tokens))
    mask = torch.ones_like(ids)
    for row, kept in ((1, tokens * 2 // 3),):
        beside = slice(0, tokens - kept) if left else slice(kept, tokens)
        ids[row, beside], mask[row, beside] = pad, 0  # left padding hides a text's first token from heads that read it
    feeds = dict(input_ids=ids, attention_mask=mask)
    if getattr(config, "type_vocab_size", 0) > 1:
        feeds["token_type_ids"] = torch.randint(0, config.type_vocab_size, ids.shape)
    results = model(**feeds)
    expected = {k: v.tolist() for k, v in feeds.items()}
    expected |= {k: rounded(v) for k, v in results.items() if k in OUTPUTS}
    (folder / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def deberta(**changes):
    base = dict(
        relative_attention=True,
        position_buckets=6,
        max_relative_positions=-1,
        pos_att_type=["p2c", "c2p"],
        share_att_key=True,
        norm_rel_ebd="layer_norm",
        position_biased_input=False,
        type_vocab_size=0,
        legacy=False,
    )
    return stack("deberta-v2", **{**base, **changes})


def older_norm(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


def bare(name):
    for prefix in ("bert.", "roberta.", "distilbert.", "electra.", "deberta."):
        name = name.removeprefix(prefix)
    return name


def committed(out):
    make(
        out,
        "bert-masked-lm-older-names",
        "bert",
        "MaskedLM",
        stack("bert", hidden_act="gelu_new", num_hidden_layers=1),
        tensor=older_norm,
        old=True,
        buffers=True,
        forget=["pad_token_id", "type_vocab_size"],
        sets={
            "architectures": ["BertForPreTraining"],
            "position_embedding_type": "absolute",
            "classifier_dropout": None,
        },
    )
    make(
        out,
        "bert-one-type",
        "bert",
        "QuestionAnswering",
        stack("bert", type_vocab_size=1, hidden_act="relu", hidden_size=18, num_attention_heads=3),
        old=True,
    )
    make(
        out,
        "bert-regression-f16",
        "bert",
        "SequenceClassification",
        stack("bert", type_vocab_size=4),
        labels=1,
        dtype="float16",
        sets={"problem_type": None, "id2label": None, "num_labels": 1},
    )
    make(
        out,
        "distilbert-sinusoidal",
        "distilbert",
        "TokenClassification",
        stack("distilbert", sinusoidal_pos_embds=True, n_heads=2),
    )
    make(
        out,
        "distilbert-masked-lm",
        "distilbert",
        "MaskedLM",
        stack("distilbert", activation="relu"),
        tokens=6,
        forget=["activation", "pad_token_id"],
        sets={"activation": "relu"},
    )
    make(
        out,
        "distilbert-classifier-bf16",
        "distilbert",
        "SequenceClassification",
        stack("distilbert"),
        dtype="bfloat16",
        sets={"problem_type": "multi_label_classification"},
    )
    make(
        out,
        "roberta-masked-lm",
        "roberta",
        "MaskedLM",
        stack("roberta", type_vocab_size=1),
        tokens=6,
        old=True,
        forget=["pad_token_id"],
        sets={"position_embedding_type": "absolute"},
    )
    make(
        out,
        "roberta-padding-3",
        "roberta",
        "SequenceClassification",
        stack("roberta", pad_token_id=3, type_vocab_size=2, layer_norm_eps=1e-5),
        left=True,
    )
    make(
        out,
        "roberta-bare",
        "roberta",
        None,
        stack("roberta", hidden_size=18, num_attention_heads=2),
        tensor=bare,
        dtype="bfloat16",
    )
    make(
        out,
        "xlm-roberta-answers",
        "xlm-roberta",
        "QuestionAnswering",
        stack("xlm-roberta", type_vocab_size=1, layer_norm_eps=1e-5),
        forget=["pad_token_id"],
    )
    make(out, "electra-narrow-embeddings", "electra", "TokenClassification", stack("electra", embedding_size=12))
    make(
        out,
        "electra-generator",
        "electra",
        "MaskedLM",
        stack("electra", embedding_size=12, hidden_act="relu"),
        tokens=6,
    )
    make(
        out,
        "electra-classifier",
        "electra",
        "SequenceClassification",
        stack("electra", embedding_size=16, hidden_act="gelu_new"),
        old=True,
    )
    make(
        out,
        "deberta-v3-masked-lm",
        "deberta-v2",
        "MaskedLM",
        deberta(),
        tokens=12,
        old=True,
        sets={"pos_att_type": "p2c|c2p"},
    )
    make(
        out,
        "deberta-v3-sequence-f16",
        "deberta-v2",
        "SequenceClassification",
        deberta(pooler_hidden_act="tanh"),
        tokens=20,
        dtype="float16",
    )
    make(
        out,
        "deberta-no-buckets",
        "deberta-v2",
        "TokenClassification",
        deberta(
            position_buckets=-1,
            max_relative_positions=7,
            share_att_key=False,
            norm_rel_ebd="none",
            position_biased_input=True,
            type_vocab_size=2,
        ),
        tokens=14,
    )
    make(
        out,
        "deberta-v2-convolution",
        "deberta-v2",
        "QuestionAnswering",
        deberta(conv_kernel_size=3, conv_act="gelu", conv_groups=2, pos_att_type=["c2p"], share_att_key=False),
        tokens=14,
        sets={"position_buckets": 6},
    )
    make(
        out,
        "deberta-p2c-narrow-embeddings",
        "deberta-v2",
        "MaskedLM",
        deberta(embedding_size=12, pos_att_type=["p2c"], legacy=True),
        tokens=6,
    )
    make(
        out,
        "deberta-buckets-beyond-positions",
        "deberta-v2",
        "TokenClassification",
        deberta(position_buckets=64),
        tokens=20,
        forget=["architectures"],
    )
    make(
        out,
        "deberta-span-below-half",
        "deberta-v2",
        "QuestionAnswering",
        deberta(position_buckets=8, max_relative_positions=3),
        tokens=18,
    )
    make(out, "deberta-own-masked-head", "deberta-v2", "MaskedLM", deberta(legacy=False, num_hidden_layers=1), tokens=6)
    make(
        out,
        "bert-untied-silu",
        "bert",
        "MaskedLM",
        stack("bert", hidden_act="silu", tie_word_embeddings=False, num_hidden_layers=1),
        tokens=6,
    )
    make(
        out,
        "bert-tokens",
        "bert",
        "TokenClassification",
        stack("bert", type_vocab_size=1),
        left=True,
        forget=["architectures"],
    )
    make(out, "distilbert-answers", "distilbert", "QuestionAnswering", stack("distilbert"), left=True)
    make(
        out, "roberta-answers", "roberta", "QuestionAnswering", stack("roberta", num_hidden_layers=1), tensor=older_norm
    )
    make(
        out,
        "roberta-tokens",
        "roberta",
        "TokenClassification",
        stack("roberta", hidden_act="quick_gelu", pad_token_id=0, num_hidden_layers=1),
    )
    make(
        out,
        "xlm-roberta-masked-lm",
        "xlm-roberta",
        "MaskedLM",
        stack("xlm-roberta", tie_word_embeddings=False, num_hidden_layers=1),
        tokens=6,
    )
    make(
        out,
        "xlm-roberta-classifier",
        "xlm-roberta",
        "SequenceClassification",
        stack("xlm-roberta", num_hidden_layers=1),
        old=True,
        buffers=True,
    )
    make(
        out,
        "xlm-roberta-tokens",
        "xlm-roberta",
        "TokenClassification",
        stack("xlm-roberta", num_hidden_layers=1),
        tensor=bare,
        left=True,
    )
    make(
        out,
        "electra-wide-embeddings",
        "electra",
        "QuestionAnswering",
        stack("electra", embedding_size=24, num_hidden_layers=1),
    )
    make(
        out,
        "deberta-absolute",
        "deberta-v2",
        None,
        deberta(relative_attention=False, pos_att_type=None, position_biased_input=True),
        sets={"pos_att_type": None, "position_buckets": None, "norm_rel_ebd": None},
    )


def swept(family, pick):
    heads = pick([1, 2, 4])
    fields = dict(
        hidden_size=heads * pick([4, 6, 8]),
        num_attention_heads=heads,
        num_hidden_layers=pick([1, 2, 3]),
        intermediate_size=pick([8, 20, 40]),
        vocab_size=pick([61, 97]),
        hidden_act=pick(["gelu", "gelu_new", "relu", "silu", "gelu_fast", "tanh", "quick_gelu"]),
        max_position_embeddings=pick([48, 64]),
    )
    if family != "distilbert":
        fields |= dict(type_vocab_size=pick([1, 2, 3]), layer_norm_eps=pick([1e-12, 1e-7, 1e-5]))
    fields |= dict(tie_word_embeddings=pick([True, True, False]))
    if family in ("roberta", "xlm-roberta"):
        fields |= dict(pad_token_id=pick([0, 1, 4]))
    if family == "electra":
        fields |= dict(embedding_size=pick([fields["hidden_size"], 12, 20]))
    if family == "deberta-v2":
        kinds = pick([["c2p"], ["p2c"], ["c2p", "p2c"], ["p2c", "c2p"], "c2p|p2c", "p2c", None])
        fields |= dict(
            relative_attention=pick([True, True, True, False]),
            position_buckets=pick([-1, 0, 4, 6, 8, 16, 3, 64, 256]),
            max_relative_positions=pick([-1, -1, 3, 12, 28, 40, 64]),
            pos_att_type=kinds,
            share_att_key=pick([True, False]),
            norm_rel_ebd=pick(["none", "layer_norm", "layer_norm|none"]),
            position_biased_input=pick([True, False]),
            type_vocab_size=pick([0, 1, 2]),
            legacy=pick([True, False]),
            pooler_hidden_act=pick(["gelu", "tanh", "relu"]),
        )
        fields |= (
            dict(conv_kernel_size=pick([3, 5, 1]), conv_act=pick(["tanh", "gelu"]), conv_groups=pick([1, 2]))
            if pick([True, False, False])
            else {}
        )
        if kinds is None or not fields["relative_attention"]:  # transformers itself fails on a sum of nothing
            fields |= dict(relative_attention=False)
        if fields["max_relative_positions"] - 1 == fields["position_buckets"] // 2:  # it divides by zero there
            fields |= dict(max_relative_positions=-1)
        if fields["legacy"]:
            fields |= dict(embedding_size=pick([fields["hidden_size"], 12]))
    return stack(family, **fields)


def sweep(out, count, seed):
    rng = random.Random(seed)
    for at in range(count):
        family = rng.choice([*FAMILIES, "deberta-v2", "deberta-v2"])
        head = rng.choice(HEADS)
        written = dict(tensor=rng.choice([None, older_norm, bare]), old=rng.random() < 0.5)
        make(
            out,
            f"{at:03}-{family}-{head}",
            family,
            head,
            swept(family, rng.choice),
            labels=rng.choice([1, 2, 5]),
            dtype=rng.choice(["float32", "float32", "float16", "bfloat16"]),
            seed=at,
            tokens=rng.choice([3, 9, 17, 41]),
            left=rng.random() < 0.2 and head != "SequenceClassification",
            **written,
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
