"""
Makes bare.json: folders with a bare vocabulary, or with tokens beside tokenizer.json, and what transformers'
AutoTokenizer answers there: ids of texts of many scripts with special tokens, a pair, and a decoded text.

    pip install transformers==5.24.0 && python make_bare.py

Vocabularies are those of cased-bert and roberta of this folder; `files` is what lies beside them.
"""

import json, logging, pathlib, tempfile
from transformers import AutoTokenizer

logging.disable(logging.WARNING)
here = pathlib.Path(__file__).parent
texts = [text for text in json.loads((here / "texts.json").read_text()) if "mask>" not in text][:110]
texts += ["COVID wave [E1] Marie [/E1] of 2020", "a[E1]b  [E1]  c", "Straße É é ΣΑΣ 東京 [MASK] covid"]


def vocabulary(name):
    model = json.loads((here / name / "tokenizer.json").read_text())["model"]
    if name == "cased-bert":
        return {"vocab.txt": "".join(f"{piece}\n" for piece in sorted(model["vocab"], key=model["vocab"].get))}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
    vocab = {**model["vocab"], "<mask>": len(model["vocab"])}
    return {"vocab.json": json.dumps(vocab), "merges.txt": "#version: 0.2\n" + "\n".join(merges) + "\n"}


def token(content, **kind):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, **kind}


bert = {"config.json": {"model_type": "bert"}}
roberta = {"config.json": {"model_type": "roberta"}}
decoder = {"900": token("[E1]", special=True, lstrip=True), "901": token("covid", normalized=True, special=False)}
cases = {
    "model type bert": ("cased-bert", bert),
    "cased": ("cased-bert", {**bert, "tokenizer_config.json": {"do_lower_case": False}}),
    "lower case with accents": (
        "cased-bert",
        {**bert, "tokenizer_config.json": {"do_lower_case": True, "strip_accents": False}},
    ),
    "cased without accents": (
        "cased-bert",
        {**bert, "tokenizer_config.json": {"do_lower_case": False, "strip_accents": True}},
    ),
    "Chinese in words": ("cased-bert", {**bert, "tokenizer_config.json": {"tokenize_chinese_chars": False}}),
    "ElectraTokenizerFast": (
        "cased-bert",
        {
            "config.json": {"model_type": "electra"},
            "tokenizer_config.json": {"tokenizer_class": "ElectraTokenizerFast", "do_lower_case": False},
        },
    ),
    "DistilBertTokenizer of config.json": (
        "cased-bert",
        {"config.json": {"model_type": "distilbert", "tokenizer_class": "DistilBertTokenizer"}},
    ),
    "added_tokens.json": (
        "cased-bert",
        {
            **bert,
            "added_tokens.json": {"[E1]": 900, "[/E1]": 901, "covid": 902},
            "special_tokens_map.json": {"additional_special_tokens": ["[E1]", "[/E1]"]},
        },
    ),
    "added_tokens_decoder": (
        "cased-bert",
        {
            **bert,
            "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": decoder},
            "added_tokens.json": {"[/E1]": 7},
        },
    ),
    "other special tokens": (
        "cased-bert",
        {**bert, "special_tokens_map.json": {"cls_token": "Ａ", "sep_token": token("р")}},
    ),
    "model type roberta": ("roberta", roberta),
    "a space before": (
        "roberta",
        {
            **roberta,
            "tokenizer_config.json": {
                "tokenizer_class": "RobertaTokenizer",
                "add_prefix_space": True,
                "trim_offsets": False,
            },
        },
    ),
    "roberta with added tokens": (
        "roberta",
        {
            **roberta,
            "added_tokens.json": {"[E1]": 701, "covid": 702},
            "special_tokens_map.json": {"mask_token": token("<mask>", lstrip=True)},
        },
    ),
    "tokens beside tokenizer.json": (
        "tokenizer.json",
        {
            "config.json": {"model_type": "x"},
            "tokenizer_config.json": {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "added_tokens_decoder": {
                    "700": token("<mask>", special=True, lstrip=True),
                    "701": token("[E1]", special=True),
                },
            },
        },
    ),
}


def files_of(vocabulary_name, beside):
    if vocabulary_name == "tokenizer.json":
        return {"tokenizer.json": (here / "roberta" / "tokenizer.json").read_text()} | {
            name: json.dumps(value) for name, value in beside.items()
        }
    return vocabulary(vocabulary_name) | {name: json.dumps(value) for name, value in beside.items()}


made = []
for name, (vocabulary_name, beside) in cases.items():
    folder = pathlib.Path(tempfile.mkdtemp())
    for file, content in files_of(vocabulary_name, beside).items():
        (folder / file).write_text(content)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    pair = tokenizer(texts[2], texts[-1], return_token_type_ids=True)
    ids = [tokenizer(text).input_ids for text in texts]
    made.append(
        {
            "name": name,
            "vocabulary": vocabulary_name,
            "files": beside,
            "ids": ids,
            "pair": {"ids": pair.input_ids, "typeIds": pair.token_type_ids},
            "decoded": [tokenizer.decode(ids[-1]), tokenizer.decode(ids[-1], skip_special_tokens=True)],
        }
    )
out = {"texts": texts, "cases": made}
(here / "bare.json").write_text(json.dumps(out, ensure_ascii=False, separators=(",", ":")) + "\n")
