"""
Small random checkpoints with the tokenizers of test/tokenizer/made, and what transformers' own pipelines answer with
them, as the oracle of test/pipelines/oracle.test.ts.

    pip install torch transformers==5.24.0 && python make_oracle.py
    pip install torch transformers==4.57.1 && python make_oracle.py --answers   # question answering: 5 has no pipeline

Each folder holds config.json and model.safetensors; expected.json holds calls and answers, answers.json those of the
second.
"""

import json, logging, pathlib, shutil, sys, tempfile
import torch, transformers
from transformers import pipeline

logging.disable(logging.WARNING)
torch.set_grad_enabled(False)
here = pathlib.Path(__file__).parent
made = here / "../../tokenizer/made"
vocabularies = {"cased-bert": 900, "roberta": 701, "xlm-roberta": 422, "deberta-v3": 302}
families = {"cased-bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "deberta-v3": "DebertaV2"}
specials = {
    "cased-bert": dict(unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]", mask_token="[MASK]"),
    "roberta": dict(
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        mask_token="<mask>",
        bos_token="<s>",
        eos_token="</s>",
    ),
}
specials["deberta-v3"], specials["xlm-roberta"] = specials["cased-bert"], specials["roberta"]
entities = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "E-LOC", "S-ORG"]
models = {  # folder: tokenizer, head, labels, changes of the config
    "bert-tokens": ("cased-bert", "TokenClassification", entities, {}),
    "roberta-tokens": ("roberta", "TokenClassification", entities, {}),
    "xlm-roberta-tokens": ("xlm-roberta", "TokenClassification", entities, {}),
    "bert-masks": ("cased-bert", "MaskedLM", None, {}),
    "roberta-masks": ("roberta", "MaskedLM", None, {}),
    "xlm-roberta-masks": ("xlm-roberta", "MaskedLM", None, {}),
    "deberta-masks": ("deberta-v3", "MaskedLM", None, {}),
    "bert-pairs": ("cased-bert", "SequenceClassification", ["entailment", "neutral", "contradiction"], {}),
    "roberta-pairs": (
        "roberta",
        "SequenceClassification",
        ["CONTRADICTION", "ENTAILMENT"],
        {"problem_type": "multi_label_classification"},
    ),
    "bert-regression": ("cased-bert", "SequenceClassification", ["score"], {"problem_type": "regression"}),
    "bert-one-class": ("cased-bert", "SequenceClassification", ["relevant"], {}),
    "bert-vectors": ("cased-bert", None, None, {}),
    "bert-answers": ("cased-bert", "QuestionAnswering", None, {}),
    "roberta-answers": ("roberta", "QuestionAnswering", None, {}),
}
plain = [
    "Marie Curie was born in Warsaw, Poland.",
    "The quick brown fox jumps over the lazy dog.",
    "Hello world",
    "U.N. talks (in Geneva) ended: 3.14 % of $9.99!",
    "user@example.org saw https://example.com/a/b?c=d",
]
odd = [
    "tab\there\nnew line and\u00a0hard space",
    "two  spaces   here",
    " leading and trailing ",
    "can't won't I'll they've",
    "北京Beijing大学2024年 東京タワー",
    "a😀b 👍🏽 smile",
    "Привет, мир! ΟΔΥΣΣΕΥΣ",
    "« quotes » “curly”—dash…",
]


def folder_of(name):
    """The model's folder with its tokenizer, loaded as tokenizer.json says."""
    tokenizer = models[name][0]
    folder = pathlib.Path(tempfile.mkdtemp())
    for file in ("config.json", "model.safetensors"):
        shutil.copy(here / name / file, folder)
    shutil.copy(made / tokenizer / "tokenizer.json", folder)
    own = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 76, **specials[tokenizer]}
    own["model_input_names"] = ["input_ids", "attention_mask"] + ([] if "roberta" in tokenizer else ["token_type_ids"])
    (folder / "tokenizer_config.json").write_text(json.dumps(own))
    return folder


def make(name, seed):
    tokenizer, head, labels, changes = models[name]
    torch.manual_seed(seed)
    fields = dict(
        vocab_size=vocabularies[tokenizer],
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=80,
        initializer_range=0.8,
        pad_token_id=1 if "roberta" in tokenizer else 0,
    )
    if tokenizer == "deberta-v3":
        fields |= dict(
            relative_attention=True,
            position_buckets=8,
            pos_att_type=["p2c", "c2p"],
            share_att_key=True,
            norm_rel_ebd="layer_norm",
            position_biased_input=False,
            type_vocab_size=0,
        )
    elif "roberta" in tokenizer:
        fields |= dict(type_vocab_size=1)
    config = getattr(transformers, families[tokenizer] + "Config")(**fields)
    if labels:
        config.id2label = dict(enumerate(labels))
        config.label2id = {label: at for at, label in enumerate(labels)}
    for key, value in changes.items():
        setattr(config, key, value)
    model = getattr(transformers, families[tokenizer] + (f"For{head}" if head else "Model"))(config).eval()
    model.half().save_pretrained(here / name)


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(each) for each in value]
    return round(float(value), 6) if hasattr(value, "__float__") and not isinstance(value, (int, str)) else value


def ask(calls, task, name, inputs, **parameters):
    pipe = pipes.setdefault((task, name), pipeline(task, model=folder_of(name), dtype=torch.float32, device="cpu"))
    given = {"tokenize_kwargs": {}} if task == "feature-extraction" else parameters
    if task == "text-classification":
        given = {"top_k": None, **parameters}
    if task == "question-answering":
        answer = pipe(**inputs, **parameters)
    else:
        answer = pipe(inputs, **given)
    calls.append({"task": task, "model": name, "inputs": inputs, "parameters": parameters, "answer": rounded(answer)})


pipes = {}


def without_words(calls):
    """Their word is decoded tokens, ours what stands in the text."""
    for call in calls:
        for entity in call["answer"]:
            entity.pop("word", None)
            entity.pop("index", None)


def tokens():
    calls = []
    for name in ("bert-tokens", "roberta-tokens", "xlm-roberta-tokens"):
        for text in plain + (odd if name != "bert-tokens" else []):
            for strategy in ("none", "simple", "first", "average", "max"):
                ask(calls, "token-classification", name, text, aggregation_strategy=strategy)
        ask(
            calls,
            "token-classification",
            name,
            plain[0],
            aggregation_strategy="none",
            ignore_labels=["O", "B-PER", "LOC"],
        )
        ask(
            calls, "token-classification", name, plain[0], aggregation_strategy="simple", ignore_labels=["PER", "B-LOC"]
        )
        ask(calls, "token-classification", name, plain[0], aggregation_strategy="first", ignore_labels=[])
    without_words(calls)
    return calls


def masks():
    calls = []
    for name in ("bert-masks", "roberta-masks", "xlm-roberta-masks", "deberta-masks"):
        mask = specials[models[name][0]]["mask_token"]
        for text in (
            f"Hello {mask} world",
            f"{mask} is a Dog, and two  spaces",
            f"the end{mask}.",
            f"a {mask} b {mask}",
            f"Привет {mask}!",
        ):
            ask(calls, "fill-mask", name, text, top_k=4)
        for targets in (
            ["the", " the", "Ġthe", "▁the", "##s"],
            ["world", " world", "Hello"],
            ["unbelievableness", "☃"],
        ):
            ask(calls, "fill-mask", name, f"Hello {mask} world", targets=targets)
    return calls


def pairs():
    calls = []
    for name in ("bert-pairs", "roberta-pairs", "bert-regression", "bert-one-class"):
        for pair in (
            {"text": plain[0], "text_pair": plain[1]},
            {"text": "a", "text_pair": "b"},
            {"text": odd[4], "text_pair": odd[6]},
        ):
            ask(calls, "text-classification", name, pair)
        long = {"text": " ".join(plain), "text_pair": " ".join(odd)}
        for given in (
            long,
            {"text": "short", "text_pair": long["text_pair"]},
            {"text": long["text"], "text_pair": "short"},
        ):
            ask(calls, "text-classification", name, given, truncation=True)
        ask(calls, "text-classification", name, plain[0])
        ask(calls, "text-classification", name, [{"text": plain[2], "text_pair": plain[0]}, plain[1]])
        ask(calls, "text-classification", name, {"text": plain[0], "text_pair": plain[1]}, function_to_apply="none")
    for name in ("bert-pairs", "roberta-pairs"):
        for several in (False, True):
            ask(
                calls,
                "zero-shot-classification",
                name,
                plain[0],
                candidate_labels=["dog", "world", "tab"],
                multi_label=several,
            )
        ask(calls, "zero-shot-classification", name, plain[1], candidate_labels=["dog"])
    return calls


def vectors():
    calls = []
    for inputs in ("Hello world", ["Hello world", plain[0]]):
        ask(calls, "feature-extraction", "bert-vectors", inputs)
    return calls


def answers():
    calls = []
    context = plain[0]  # longer ones are read in windows, between which their scores add up and ours do not
    for name in ("bert-answers", "roberta-answers"):
        for text in (context, plain[1], plain[3], odd[3] + " " + plain[2], odd[5], odd[6]):
            for parameters in (
                {},
                {"top_k": 3},
                {"handle_impossible_answer": True},
                {"align_to_words": False},
                {"max_answer_len": 3, "top_k": 2},
            ):
                ask(
                    calls,
                    "question-answering",
                    name,
                    {"question": "Where was she born?", "context": text},
                    **parameters,
                )
    return calls


def write(file, calls):
    (here / file).write_text(json.dumps(calls, ensure_ascii=False, separators=(",", ":")) + "\n")


if "--answers" in sys.argv:
    write("answers.json", answers())
else:
    for seed, name in enumerate(models):
        make(name, seed)
    write("expected.json", tokens() + masks() + pairs() + vectors())
