"""Small random checkpoints as sentence-transformers and transformers save them, and what those libraries answer with them:
the oracle of test/checkpoints/library-checkpoints.test.ts.

    bash bench/peers/install-python.sh oracle
    .bench/oracle/bin/python test/checkpoints/library-checkpoints/make_checkpoints.py test/checkpoints/library-checkpoints

writes a folder for each checkpoint and expected.json: by checkpoint, its calls (task, inputs, parameters, outputs), or why it
is refused. Made with torch 2.15.0, transformers 5.24.0 and sentence-transformers 6.2.0, f32 on the CPU; the same versions
give the same bytes. Left out of the outputs: an entity's `word` and a filled mask's `sequence` and `token_str`, which those
libraries decode from tokens and we cut from the text. Answers to questions are answer_questions.py's.
"""
import json, pathlib, shutil, sys, warnings

import torch, transformers
from sentence_transformers import CrossEncoder, SentenceTransformer, SparseEncoder, util
from sentence_transformers.base.modules import Dense, Normalize, Router, Transformer
from sentence_transformers.sentence_transformer.modules import BoW, CNN, LSTM, LayerNorm, Pooling, StaticEmbedding, WeightedLayerPooling
from sentence_transformers.sparse_encoder.modules import SpladePooling
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

warnings.filterwarnings("ignore")
transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_grad_enabled(False)
torch.set_num_threads(1)

OUT = pathlib.Path(sys.argv[1])
TMP = OUT / "tmp"
FAMILIES = {"bert": "Bert", "distilbert": "DistilBert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta", "electra": "Electra", "deberta-v2": "DebertaV2"}
TEXTS = ["The quick brown fox jumps over the lazy dog.", "a cat", "Naïve café visitors in Zürich read 12 books!", "Ann Lee works at Blue River Bank in Oslo"]
LONG = "the dog reads a book and the cat jumps over the lazy fox in the river bank at noon while visitors drink coffee " * 2
QUERY = "who jumps over the dog?"
CORPUS = TEXTS + [LONG, QUERY, "query: passage: search for text, a text about an animal", "This example is about animals. It is travel, work and money."]
EXPECTED = {}


def words():
    letters = "abcdefghijklmnopqrstuvwxyz"
    whole = "the cat dog fox over lazy book in bank river jumps query passage search work this example is a at".split()
    return [*whole, *letters, *("##" + c for c in letters), *"0123456789.,:!?", *("##" + c for c in "0123456789"), "##s", "##ing", "##er", "A", "T", "N", "Z", "Q", "O", "L", "B", "R", "é", "ü"]


def wordpiece(cls, lower, length):
    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words())]
    return cls(vocab={word: at for at, word in enumerate(vocab)}, do_lower_case=lower, model_max_length=length)


def byte_level(length):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return transformers.RobertaTokenizer(vocab=model["vocab"], merges=[tuple(each) for each in model["merges"]], model_max_length=length)


def pieces():
    whole = [f"▁{word}" for word in "the cat dog fox over lazy book in bank river jumps query passage search work this example is a at".split()]
    letters = list("abcdefghijklmnopqrstuvwxyzATNZQOLBRéüï0123456789.,:!?")
    return [(piece, -2.0 - at * 0.05) for at, piece in enumerate(["▁", *whole, "s", "ing", "er", *letters])]


def tokenizer_of(family, length=32, lower=True):
    if family in ("bert", "distilbert", "electra"):
        return wordpiece({"bert": transformers.BertTokenizer, "distilbert": transformers.DistilBertTokenizer, "electra": transformers.ElectraTokenizer}[family], lower, length)
    if family == "roberta":
        return byte_level(length)
    if family == "xlm-roberta":
        return transformers.XLMRobertaTokenizer(vocab=[("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces(), ("<mask>", 0.0)], model_max_length=length)
    return transformers.DebertaV2Tokenizer(vocab=[("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0), *pieces(), ("[MASK]", 0.0)], unk_id=3, model_max_length=length)


def config_of(family, vocabulary, tokenizer, hidden, **changes):
    fields = dict(vocab_size=vocabulary, hidden_size=hidden, num_hidden_layers=2, num_attention_heads=4, intermediate_size=hidden, max_position_embeddings=64, initializer_range=0.35, pad_token_id=tokenizer.pad_token_id)
    if family == "distilbert":
        names = dict(hidden_size="dim", num_hidden_layers="n_layers", num_attention_heads="n_heads", intermediate_size="hidden_dim")
        fields = {names.get(name, name): value for name, value in fields.items()}
    if family == "xlm-roberta" or family == "roberta":
        fields |= dict(type_vocab_size=1, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)
    if family == "electra":
        fields |= dict(embedding_size=hidden // 2)
    if family == "deberta-v2":
        fields |= dict(relative_attention=True, position_buckets=8, pos_att_type=["p2c", "c2p"], share_att_key=True, norm_rel_ebd="layer_norm", position_biased_input=False, type_vocab_size=0)
    return getattr(transformers, FAMILIES[family] + "Config")(**fields, **changes)


def save_model(folder, family, head="Model", hidden=24, seed=0, tokenizer=None, **changes):
    """A random model of transformers and its tokenizer, saved by their own save_pretrained."""
    torch.manual_seed(seed)
    tokenizer = tokenizer or tokenizer_of(family)
    config = config_of(family, len(tokenizer), tokenizer, hidden, **changes)
    model = getattr(transformers, FAMILIES[family] + head)(config).eval()
    for parameter in model.parameters():  # norms and biases away from their trivial starts
        if parameter.ndim == 1:
            parameter.add_(torch.randn_like(parameter) * 0.2)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def base(family="bert", **options):
    shutil.rmtree(TMP, ignore_errors=True)
    return Transformer(save_model(TMP, family, **options))


def finish(name):
    shutil.rmtree(TMP, ignore_errors=True)
    (OUT / name / "README.md").unlink(missing_ok=True)


def numbers(value):
    if isinstance(value, (list, tuple)):
        return [numbers(each) for each in value]
    if isinstance(value, dict):
        return {key: numbers(each) for key, each in value.items()}
    if hasattr(value, "tolist"):
        return numbers(value.tolist())
    return round(value, 6) if isinstance(value, float) else value


def expect(name, task, inputs, parameters, outputs):
    EXPECTED.setdefault(name, []).append(dict(task=task, inputs=inputs, parameters=parameters, outputs=numbers(outputs)))


def refused(name, words):
    finish(name)
    EXPECTED[name] = dict(refused=words)


# ---- sentence vectors ----


def load_sentence(name):
    return SentenceTransformer(str(OUT / name), device="cpu")


def save_sentence(name, modules, **options):
    torch.manual_seed(len(name))
    for module in modules[2:]:
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.4)
    SentenceTransformer(modules=modules, device="cpu", **options).save_pretrained(str(OUT / name), create_model_card=False)
    finish(name)


def ask_sentence(name, queries=True):
    model = load_sentence(name)
    bound = model.max_seq_length
    encode = lambda texts, **options: model.encode(texts, **options)
    expect(name, "feature-extraction", TEXTS, {"truncate": True}, encode(TEXTS))
    expect(name, "feature-extraction", [LONG], {"truncate": True}, encode([LONG]))
    assert len(model.tokenizer(LONG)["input_ids"]) > bound
    expect(name, "feature-extraction", TEXTS[1:3], {"truncate": True, "normalize": True}, encode(TEXTS[1:3], normalize_embeddings=True))
    for prompt, text in model.prompts.items():
        if text != "":
            expect(name, "feature-extraction", TEXTS, {"truncate": True, "prompt_name": prompt}, encode(TEXTS, prompt_name=prompt))
            expect(name, "feature-extraction", [LONG], {"truncate": True, "prompt_name": prompt}, encode([LONG], prompt_name=prompt))
    compared = "STS" if "STS" in model.prompts else None
    vectors = encode([TEXTS[1], TEXTS[0], TEXTS[2]], prompt_name=compared)
    similar = util.cos_sim(vectors[:1], vectors[1:])[0]
    expect(name, "sentence-similarity", [dict(source_sentence=TEXTS[1], sentences=[TEXTS[0], TEXTS[2]])], {"truncate": True}, [similar])
    labels = ["animal", "travel", "bank"]
    judged = "Classification" if "Classification" in model.prompts else None
    cosines = util.cos_sim(encode(TEXTS[:2], prompt_name=judged), encode(labels, prompt_name=judged))
    scores = [sorted(zip(labels, (row * 20).softmax(0).tolist()), key=lambda pair: -pair[1]) for row in cosines]
    expect(name, "zero-shot-classification", TEXTS[:2], {"candidate_labels": labels, "truncate": True}, [[dict(label=label, score=score) for label, score in row] for row in scores])
    if queries:
        near = model.similarity(model.encode_query([QUERY]), model.encode_document(TEXTS))[0].tolist()
        order = sorted(range(len(near)), key=lambda at: -near[at])
        expect(name, "rerank", [dict(query=QUERY, texts=TEXTS)], {"raw_scores": True, "truncate": True}, [[dict(index=at, score=near[at]) for at in order]])


def sentence(name, modules, **options):
    save_sentence(name, modules, **options)
    ask_sentence(name)


def rewrite(name, file, change):
    path = OUT / name / file
    found = json.loads(path.read_text())
    path.write_text(json.dumps(change(found), indent=2) + "\n")


def older_files(name):
    """The same as versions before 5.4 wrote it: flags, settings of the encoder in its own file, the older modules' paths."""
    paths = dict(Transformer="sentence_transformers.models.Transformer", Pooling="sentence_transformers.models.Pooling", Dense="sentence_transformers.models.Dense", Normalize="sentence_transformers.models.Normalize", LayerNorm="sentence_transformers.models.LayerNorm")
    rewrite(name, "modules.json", lambda found: [{**each, "type": paths[each["type"].split(".")[-1]]} for each in found])
    flags = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "mean_sqrt_len_tokens": "mean_sqrt_len_tokens"}
    rewrite(name, "1_Pooling/config.json", lambda found: {"word_embedding_dimension": found["embedding_dimension"], **{f"pooling_mode_{flag}": mode in [found["pooling_mode"]] or mode in found["pooling_mode"] for mode, flag in flags.items()}})
    (OUT / name / "sentence_bert_config.json").write_text(json.dumps(dict(max_seq_length=17, do_lower_case=True), indent=2) + "\n")


def sentences():
    prompts = dict(query="search for: ", document="text: ")
    sentence("st-bert-mean-normalize", [base(), Pooling(24, "mean"), Normalize()])
    sentence("st-bert-cls-prompts", [base(seed=1), Pooling(24, "cls")], prompts=prompts)
    sentence("st-distilbert-max", [base("distilbert", seed=2), Pooling(24, "max")])
    sentence("st-roberta-weightedmean", [base("roberta", seed=3), Pooling(24, "weightedmean"), Normalize()])
    sentence("st-xlm-roberta-default-prompt", [base("xlm-roberta", seed=4), Pooling(24, "mean"), Normalize()], prompts=dict(query="query: ", document="passage: ", STS="query: "), default_prompt_name="document")
    sentence("st-electra-lasttoken", [base("electra", seed=5), Pooling(24, "lasttoken")])
    sentence("st-deberta-mean-sqrt-len", [base("deberta-v2", seed=6), Pooling(24, "mean_sqrt_len_tokens")])
    sentence("st-bert-two-poolings-dense-layer-norm", [base(seed=7), Pooling(24, ("mean", "cls")), Dense(48, 20), LayerNorm(20), Normalize()])
    sentence("st-distilbert-dense-residual", [base("distilbert", seed=8), Pooling(24, "mean"), Normalize(), Dense(24, 24, bias=False, activation_function=torch.nn.Identity(), use_residual=True), Dense(24, 12, activation_function=torch.nn.GELU(), use_residual=True)], similarity_fn_name="dot")
    sentence("st-electra-truncated", [base("electra", seed=9), Pooling(24, "mean"), Normalize()], truncate_dim=10)
    sentence("st-bert-without-prompt", [base(seed=10), Pooling(24, Pooling.POOLING_MODES, include_prompt=False), Normalize()], prompts={**prompts, "Classification": "a text about: "}, default_prompt_name="query")
    sentence("st-roberta-euclidean", [base("roberta", seed=11), Pooling(24, "mean")], similarity_fn_name="euclidean", prompts=dict(query="search: "))
    save_sentence("st-bert-older-files", [base(seed=12, tokenizer=tokenizer_of("bert", lower=False)), Pooling(24, ("max", "mean")), Normalize()], similarity_fn_name="manhattan")
    older_files("st-bert-older-files")
    ask_sentence("st-bert-older-files")


# ---- cross-encoders ----


def ask_cross(name):
    model = CrossEncoder(str(OUT / name), device="cpu")
    if model.num_labels == 1:
        own = type(model.activation_fn)
        # Where the model's own scores are logits, raw ones are compared alone: the others are ours, from 0 to 1.
        for raw in (False, True) if own is not torch.nn.Identity else (True,):
            activation = torch.nn.Identity() if raw else None
            ranked = model.rank(QUERY, TEXTS, activation_fn=activation)
            found = [dict(index=each["corpus_id"], score=float(each["score"])) for each in ranked]
            expect(name, "rerank", [dict(query=QUERY, texts=TEXTS)], {"raw_scores": True} if raw else {}, [found])
    classify(name)


def cross(name, family, labels, seed, older=None, prompts=None, default_prompt_name=None, **options):
    shutil.rmtree(TMP, ignore_errors=True)
    source = save_model(TMP, family, "ForSequenceClassification", hidden=16, seed=seed, num_labels=labels, tokenizer=tokenizer_of(family, 60))
    model = CrossEncoder(source, device="cpu", prompts=prompts, default_prompt_name=default_prompt_name, **options)
    model.save_pretrained(str(OUT / name), create_model_card=False)
    finish(name)
    if older is not None:
        for file in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
            (OUT / name / file).unlink()
        rewrite(name, "config.json", lambda found: {**found, **older})
    ask_cross(name)


def crosses():
    identity = "torch.nn.modules.linear.Identity"
    cross("ce-bert", "bert", 1, 20)
    cross("ce-roberta-identity", "roberta", 1, 21, activation_fn=torch.nn.Identity())
    cross("ce-distilbert-three-labels", "distilbert", 3, 22)
    cross("ce-electra-prompt", "electra", 1, 23, prompts=dict(query="search: "), default_prompt_name="query")
    cross("ce-xlm-roberta-tanh", "xlm-roberta", 1, 24, activation_fn=torch.nn.Tanh())
    cross("ce-deberta-fourth-version", "deberta-v2", 1, 25, older=dict(sentence_transformers=dict(version="4.1.0", activation_fn=identity)))
    cross("ce-bert-third-version", "bert", 1, 26, older=dict(sbert_ce_default_activation_function=identity))


# ---- transformers' own pipelines ----


def pipeline(task, name):
    return transformers.pipeline(task, str(OUT / name), device="cpu")


def classify(name):
    pipe = pipeline("text-classification", name)
    expect(name, "text-classification", TEXTS, {}, pipe(TEXTS, top_k=None))
    for function in ("sigmoid", "softmax", "none"):
        expect(name, "text-classification", TEXTS[:2], {"function_to_apply": function, "top_k": 2}, pipe(TEXTS[:2], top_k=2, function_to_apply=function))


def plain(name, family, head, seed, length=60, **changes):
    save_model(OUT / name, family, head, hidden=12, seed=seed, tokenizer=tokenizer_of(family, length), **changes)


def whole_words(name, texts):
    """The texts without words that begin with a token of white space alone, of which our answers say nothing."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(OUT / name))
    return [" ".join(word for word in text.split() if tokenizer.tokenize(f"a {word}")[1].strip("▁Ġ")) for text in texts]


def first_letter(text, span):
    """Tokens of some vocabularies begin with the white space before their word; our spans never do."""
    return span["end"] - len(text[span["start"] : span["end"]].lstrip())


def tag(name, strategies):
    pipe = pipeline("token-classification", name)
    texts = whole_words(name, TEXTS)
    for strategy in strategies:
        found = [pipe(text, aggregation_strategy=strategy, ignore_labels=[]) for text in texts]
        pick = ("entity" if strategy == "none" else "entity_group", "score", "start", "end")
        rows = [[{key: each[key] for key in pick} | {"start": first_letter(text, each)} for each in row] for text, row in zip(texts, found)]
        expect(name, "token-classification", texts, {"aggregation_strategy": strategy, "ignore_labels": []}, rows)


def fill(name, mask):
    pipe = pipeline("fill-mask", name)
    inputs = [f"the {mask} jumps over the dog", f"a {mask}", f"Zürich is {mask}."]
    keys = ("score", "token")
    for options in ({}, {"top_k": 2}):
        expect(name, "fill-mask", inputs, options, [[{key: each[key] for key in keys} for each in pipe(text, **options)] for text in inputs])


def infer(name):
    pipe = pipeline("zero-shot-classification", name)
    labels = ["animal", "travel", "bank"]
    for options in ({}, {"multi_label": True}, {"hypothesis_template": "this is {}"}):
        rows = [pipe(text, candidate_labels=labels, **options) for text in TEXTS[:2]]
        found = [[dict(label=label, score=score) for label, score in zip(row["labels"], row["scores"])] for row in rows]
        expect(name, "zero-shot-classification", TEXTS[:2], {**options, "candidate_labels": labels}, found)


ENTAILMENT = dict(id2label={0: "contradiction", 1: "neutral", 2: "entailment"}, label2id={"contradiction": 0, "neutral": 1, "entailment": 2})
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG"]


def heads():
    for at, family in enumerate(FAMILIES):
        seed = 40 + 10 * at
        plain(f"{family}-classifier", family, "ForSequenceClassification", seed, num_labels=3, **({"problem_type": "multi_label_classification"} if at % 2 else {}))
        classify(f"{family}-classifier")
        plain(f"{family}-tags", family, "ForTokenClassification", seed + 1, id2label=dict(enumerate(TAGS)), label2id={tag: at for at, tag in enumerate(TAGS)})
        # Words of many tokens are told by their marks in vocabularies of word pieces alone.
        pieces = family in ("bert", "distilbert", "electra")
        tag(f"{family}-tags", ("none", "simple", *(("first", "average", "max") if pieces else ())))
        plain(f"{family}-answers", family, "ForQuestionAnswering", seed + 2)
        plain(f"{family}-masks", family, "ForMaskedLM", seed + 3)
        fill(f"{family}-masks", "<mask>" if "roberta" in family else "[MASK]")
        plain(f"{family}-entailment", family, "ForSequenceClassification", seed + 4, **ENTAILMENT)
        infer(f"{family}-entailment")


# ---- what is refused ----


def refusals():
    small = dict(hidden=8)
    save_sentence("no-layers-mixed", [base(**small), WeightedLayerPooling(8, num_hidden_layers=2, layer_start=1), Pooling(8)])
    refused("no-layers-mixed", "WeightedLayerPooling is not served: it mixes the states of all layers")
    save_sentence("no-cnn", [base(**small), CNN(8, 4, [1, 3]), Pooling(8)])
    refused("no-cnn", "CNN is not served")
    save_sentence("no-lstm", [base(**small), LSTM(8, 4), Pooling(8)])
    refused("no-lstm", "LSTM is not served")
    save_sentence("no-bag-of-words", [BoW(["cat", "dog"])])
    refused("no-bag-of-words", "BoW is not served: it counts words")
    save_sentence("no-static-embedding", [StaticEmbedding(tokenizer_of("bert"), embedding_dim=4)])
    refused("no-static-embedding", "StaticEmbedding is not served")
    first = base(**small)
    save_sentence("no-router", [Router.for_query_document([first, Pooling(8)], [first, Pooling(8, "cls")])])
    refused("no-router", "Router is not served")
    save_sentence("no-custom-activation", [base(**small), Pooling(8), Dense(8, 4, activation_function=torch.nn.Hardtanh())])
    refused("no-custom-activation", "torch.nn.modules.activation.Hardtanh of 2_Dense/config.json is not served")
    save_sentence("no-token-dense", [base(**small), Dense(8, 8, module_input_name="token_embeddings"), Pooling(8)])
    refused("no-token-dense", "its stage Dense is not served")
    shutil.rmtree(TMP, ignore_errors=True)
    save_model(TMP, "bert", "ForMaskedLM", **small)
    SparseEncoder(modules=[Transformer(str(TMP), transformer_task="fill-mask"), SpladePooling("max")], device="cpu").save_pretrained(str(OUT / "no-sparse"), create_model_card=False)
    refused("no-sparse", "its model_type SparseEncoder is not served")
    save_model(TMP, "bert", "ForSequenceClassification", num_labels=1, **small)
    CrossEncoder(str(TMP), device="cpu", activation_fn=torch.nn.Softsign()).save_pretrained(str(OUT / "no-cross-encoder-activation"), create_model_card=False)
    refused("no-cross-encoder-activation", "torch.nn.modules.activation.Softsign of the cross-encoder is not served")
    scores = Dense(8, 1, module_output_name="scores")
    CrossEncoder(modules=[base(**small), Pooling(8), scores], device="cpu").save_pretrained(str(OUT / "no-cross-encoder-stages"), create_model_card=False)
    refused("no-cross-encoder-stages", "its stage Pooling is not served")


if __name__ == "__main__":
    for old in OUT.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
    sentences()
    crosses()
    heads()
    refusals()
    lines = [f"{json.dumps(name)}:{json.dumps(EXPECTED[name], separators=(',', ':'), ensure_ascii=False)}" for name in sorted(EXPECTED)]
    (OUT / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
