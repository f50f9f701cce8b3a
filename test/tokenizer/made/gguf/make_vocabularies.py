"""
Makes vocabularies.json: small tokenizers as the metadata of a GGUF file has them, and the ids that the library of
each kind gives texts of many scripts.

    pip install transformers==5.24.0 tokenizers==0.23.3 sentencepiece==0.2.3 gguf==0.19.0
    npm install --no-save node-llama-cpp@3.22.1
    python make_vocabularies.py FOLDER && node ask-llama-cpp.mjs FOLDER

Byte-level BPE: transformers' class of Qwen2 with the vocabulary put in, and the parts that SmolLM2's, GPT-2's and
Llama 3's tokenizer.json have. SentencePiece: the library itself, trained as Llama 2's and as Gemma's were.
`default` is llama.cpp's alone. FOLDER gets a GGUF file of each, from which ask-llama-cpp.mjs adds llama.cpp's ids.
"""

import io, json, pathlib, sys
import gguf
import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import Qwen2Tokenizer

here = pathlib.Path(__file__).parent
texts = [
    "Hello world",
    "hello   world  ",
    " leading",
    "  two",
    "café naïve Übergröße façade",
    "e\u0301tude cafe\u0301",
    "你好，世界。今天天气很好",
    "日本語のテキスト",
    "한국어 문장",
    "👋🏽 👩‍👩‍👧‍👦 🇨🇭",
    "0 12 345 6789 3.14 1,000,000 ½ ²",
    "20242024 99999 77777777 31415926535",
    "a\nb\n\nc\n\n\n  d\r\n\te",
    "    indented\n        more",
    "I'm you're WE'LL they'd it's 'S",
    "x" * 40,
    "",
    "user@example.com https://a.b/c?d=e#f",
    "def f(x):\n    return x**2 if x>=0 else -x",
    "مرحبا שלום नमस्ते",
    "\u2581\u2581raw",
    "<|im_start|>user\nHi there<|im_end|>\n",
    "a <|im_end|> b",
    '<tool_call>{"a": 1}</tool_call>',
    "\u00a0nbsp\u2009thin",
    "z\u0000z",
]
corpus = texts[:20] * 3 + [p.read_text() for p in sorted(here.parent.glob("*.py"))]
numbers = [" ".join(str(n) for n in range(0, 10000, 3))]
control, user = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], ["<tool_call>", "</tool_call>"]
words = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def split(regex):
    return pre_tokenizers.Split(Regex(regex), "isolated")


def byte_level(regex=False):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)


cuts = {
    "gpt-2": [byte_level(True)],
    "smollm": [pre_tokenizers.Digits(individual_digits=True), byte_level(True)],
    "qwen2": [split(words.replace("DIGITS", r"\p{N}")), byte_level()],
    "llama-bpe": [split(words.replace("DIGITS", r"\p{N}{1,3}")), byte_level()],
}


def added(tokenizer):
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in control])
    tokenizer.add_tokens([AddedToken(t, normalized=False, special=False) for t in user])


def bpe(pre):
    trained = Tokenizer(models.BPE())
    # Every vocabulary has tokens of several digits, so that it shows which of them are kept apart.
    trained.pre_tokenizer = byte_level(True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    )
    model = json.loads(trained.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(m) for m in model["merges"]]
    if pre == "llama-bpe":
        # A word that is a token, and that no merges make: ignore_merges takes it whole.
        vocab["\u0120leading"] = len(vocab)
    if pre == "qwen2":
        made = Qwen2Tokenizer(vocab=vocab, merges=merges).backend_tokenizer
    else:
        made = Tokenizer(models.BPE(vocab, merges, ignore_merges=pre == "llama-bpe"))
        made.pre_tokenizer, made.decoder = pre_tokenizers.Sequence(cuts[pre]), decoders.ByteLevel()
    added(made)
    tokens = [made.id_to_token(i) for i in range(made.get_vocab_size(with_added_tokens=True))]
    metadata = {
        "ggml.model": "gpt2",
        "ggml.pre": pre,
        "ggml.tokens": tokens,
        "ggml.token_type": [3 if t in control else 4 if t in user else 1 for t in tokens],
        "ggml.merges": [" ".join(m) for m in merges],
        "ggml.bos_token_id": tokens.index("<|im_start|>"),
        "ggml.eos_token_id": tokens.index("<|im_end|>"),
    }
    answers = [made.encode(t, add_special_tokens=False) for t in texts]
    return metadata, [a.ids for a in answers], [made.decode(a.ids, skip_special_tokens=False) for a in answers]


def piece(prefix):
    out = io.BytesIO()
    spaces = [] if prefix else ["\u2581" * n for n in range(2, 9)] + ["\n\n"]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for t in corpus for line in t.split("\n")]),
        model_writer=out,
        vocab_size=640,
        model_type="bpe",
        byte_fallback=True,
        add_dummy_prefix=prefix,
        remove_extra_whitespaces=False,
        split_digits=True,
        normalization_rule_name="identity",
        character_coverage=0.98,
        user_defined_symbols=user + spaces,
        control_symbols=control,
        minloglevel=2,
        max_sentence_length=100000,
        allow_whitespace_only_pieces=True,
    )
    model = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    ids = range(model.get_piece_size())

    def kind(i):
        if model.is_unknown(i):
            return 2
        if model.is_control(i):
            return 3
        if model.is_byte(i):
            return 6
        if model.is_unused(i):
            return 5
        return 4 if model.id_to_piece(i) in user + spaces else 1

    kinds = [kind(i) for i in ids]
    # The converter writes the spaces of user-defined tokens as spaces (convert_hf_to_gguf.py).
    pieces = [model.id_to_piece(i) for i in ids]
    tokens = [t.replace("\u2581", " ") if k == 4 else t for t, k in zip(pieces, kinds)]
    metadata = {
        "ggml.model": "llama",
        "ggml.tokens": tokens,
        "ggml.token_type": kinds,
        "ggml.scores": [model.get_score(i) for i in ids],
        "ggml.add_space_prefix": prefix,
        "ggml.bos_token_id": model.bos_id(),
        "ggml.eos_token_id": model.eos_id(),
        "ggml.unknown_token_id": model.unk_id(),
    }
    # Tokens of control in a text are found by the layer above SentencePiece: such texts are left out here.
    answers = [None if "<|" in t or "\u2581" in t or (prefix and "tool" in t) else model.encode(t) for t in texts]
    return metadata, answers, [None if a is None else model.decode(a) for a in answers]


cases = {**{pre: bpe(pre) for pre in cuts}, "llama": piece(True), "gemma": piece(False)}
cases["default"] = {**cases["gpt-2"][0], "ggml.pre": "default"}, [None] * len(texts), [None] * len(texts)
rows = {name: {"metadata": m, "ids": ids, "decoded": decoded} for name, (m, ids, decoded) in cases.items()}
(here / "vocabularies.json").write_text(
    json.dumps({"texts": texts, "cases": rows}, ensure_ascii=False, separators=(",", ":")) + "\n"
)

for name, (metadata, _, _) in cases.items():
    writer = gguf.GGUFWriter(pathlib.Path(sys.argv[1]) / f"{name}.gguf", "llama")
    for key in ["context_length", "embedding_length", "block_count", "feed_forward_length", "head_count"]:
        getattr(writer, f"add_{key}")(32)
    writer.add_layer_norm_rms_eps(1e-5)
    for key, value in metadata.items():
        add = {bool: writer.add_bool, int: writer.add_uint32, str: writer.add_string, list: writer.add_array}
        add[type(value)](f"tokenizer.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
