"""
Makes the tokenizers of this folder and, with Hugging Face's Rust library, what they answer: ids, offsets and word ids
without special tokens for every text of texts.json, and pairs with special tokens. Offsets are in UTF-16 code units.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf && python make_fixtures.py

The tokenizers are trained on the texts themselves, in the shapes that checkpoints have: roberta (byte-level BPE),
xlm-roberta and deberta-v3 (Unigram over a precompiled map of characters), and a cased BERT.
"""

import io, json, random, tempfile, unicodedata
from pathlib import Path
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

here = Path(__file__).parent
minilm = here / "../../../gpu-worker/catalog/embedded/all-MiniLM-L6-v2/tokenizer.json"

hand_made = [
    "",
    " ",
    "Hello world",
    "  Hello,   WORLD!  ",
    "The quick brown fox jumps over the lazy dog.",
    "tab\there\nnew line\r\nand\u00a0hard space\u2003em\u3000wide",
    "naïve café résumé façade Ångström",
    "nai\u0308ve cafe\u0301 re\u0301sume\u0301",
    "我爱北京天安门",
    "北京Beijing大学2024年",
    "東京タワーは高い。ｶﾞﾗｽ",
    "한국어 텍스트 처리",
    "\u1112\u1161\u11ab\u1100\u116e\u11a8",
    "𠮷野家で𩸽を食べた",
    "مرحبا بالعالم",
    "שָׁלוֹם עולם",
    "العربية: ١٢٣ و abc",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Привет, мир! ЁЖИК",
    "ΟΔΥΣΣΕΥΣ ΚΑΙ ΣΟΦΙΑ",
    "İstanbul'da ısı",
    "😀 smile",
    "👨‍👩‍👧‍👦 family",
    "👍🏽👍🏿 skin",
    "❤️ heart 🏳️‍🌈 flag 🇩🇪",
    "a😀b😀c",
    "ﬁne ﬂow ﬀ ½ ² ™ Ⅳ ① ㎏ ｆｕｌｌ ＡＢＣ！",
    "co\u00adop zero\u200bwidth\u200djoin\ufeffbom",
    "null\0byte \x07bell \x7fdel \x85nel",
    "[CLS] is [MASK] text [SEP]",
    "a <mask> b<mask>c </s> <s> <unk> <pad>",
    "mask at end <mask>",
    "can't won't I'll they've it's we're he'd I'm",
    "3.14 1,000,000 2024-11-24 50% $9.99",
    "https://example.com/a/b?c=d&e=f#g",
    "user@example.org",
    "snake_case kebab-case CamelCase",
    "x" * 120,
    "x" * 99 + " y",
    "supercalifragilisticexpialidocious",
    "Donaudampfschifffahrtsgesellschaft",
    "...!!!???",
    "« quotes » “curly” ‘single’ — dash…",
    "e\u0301\u0302\u0303\u0304 zalgo Z\u0351\u036b\u0343",
    "\u0301leading mark",
    "à la carte \u0300 alone",
    "ㅋㅋㅋㅋ ㄱㅏ",
    "ＦＵＬＬ　ＷＩＤＴＨ",
    "\u2581under \u2581 line",
    "ß ẞ Straße STRASSE",
    "Ǆ ǅ ǆ Œuvre Æther",
    "1st 2nd ½ cup",
    "new\n\n\nlines   \n  spaces \t\t tabs",
    "trailing space ",
    "\ttab first",
    "a\u0338 ≠ =\u0338",
    "🧑🏽‍💻 codes in 日本 with עברית and हिन्दी",
    "don’t “stop”",
    "C++ C# F# .NET",
    "\U0001f600\ufe0f\u20e3 keycap 1\ufe0f\u20e3",
    "한글\u3000전각 ａｂｃ가나다",
    "ᄀᄀᄀ각ᆨᆨ",
    "\U00011107\U0001111d chakma \U0001d165\U0001d16e music",
    "ﷺ ﷽ arabic ligature ﻻ",
    "Ω Å K compat",
    "x\u0345 ypogegrammeni Ἀ ᾳ",
    "ΑΣ. ΑΣ ΣΑΣ’Σ",
]
alphabets = [
    "abcdefghij KLMNOP ",
    "的一是不了人我在有他這為之大來",
    "😀👍🏽👨‍👩‍👧❤️🇩🇪",
    "e\u0301a\u0308o\u0302n\u0303 \u0323\u0331",
    "مرحبا שלום ",
    "\t\n \u00a0\u3000\u2009",
    "ﬁﬂ½²™Ⅳ①ｱｶﾞﾊﾟＡｂ",
    "𠮷𩸽𝒳𝔘",
    ".,;:!?'\"-_()[]",
    "0123456789",
    "나한국어ㄱㅏ",
    "\u200b\u200d\ufeff\u00ad\u0000\u0007",
    "ΣσςİıßẞÉéÀ",
    "नमस्तेकि",
    "\u2581 <mask>",
]


def mixed(rng):
    parts = []
    for _ in range(rng.randint(1, 6)):
        alphabet = rng.choice(alphabets)
        parts.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 7))))
        if rng.random() < 0.4:
            parts.append(" ")
    return "".join(parts)


rng = random.Random(4)
texts = hand_made + [mixed(rng) for _ in range(240)]


def rules_of_characters():
    """The rules of a precompiled map of characters as sentencepiece writes it, for some of nmt_nfkc: all is 240 KB."""
    rules = {}
    singles = [
        *range(0xA0, 0x180),
        *range(0x2070, 0x20A0),
        *range(0x2100, 0x2180),
        *range(0x2460, 0x2480),
        *range(0x3130, 0x3160),
        *range(0x3380, 0x33A0),
        *range(0xFB00, 0xFB07),
        *range(0xFEF0, 0xFF00),
        *range(0xFF01, 0xFFA0),
        0xFDFA,
        0x1D4B3,
        0x1D518,
        0x2126,
        0x212B,
    ]
    for code in singles:
        form = unicodedata.normalize("NFKC", chr(code))
        if form != chr(code):
            rules[chr(code)] = form
    for base in "aeioucnAEIOU":
        for mark in "\u0300\u0301\u0302\u0303\u0308":
            form = unicodedata.normalize("NFKC", base + mark)
            if len(form) == 1:
                rules[base + mark] = form
    for voiced in "ｶｷｸｹｺﾊﾋﾌﾍﾎ":
        rules[voiced + "ﾞ"] = unicodedata.normalize("NFKC", voiced + "ﾞ")
    for code in [*range(1, 9), 0xB, *range(0xE, 0x20), 0x7F, 0x8F, 0x9F]:
        rules[chr(code)] = ""
    for code in [9, 10, 12, 13, 0x1680, *range(0x2000, 0x2010), 0x2028, 0x2029, 0x2581, 0x3000, 0xFEFF, 0xFFFD]:
        rules[chr(code)] = " "
    codes = lambda text: " ".join(f"{ord(char):X}" for char in text)
    path = Path(tempfile.mkdtemp()) / "rules.tsv"
    path.write_text("".join(f"{codes(a)}\t{codes(b)}\n" for a, b in sorted(rules.items())))
    return str(path)


def train_sentences(vocabulary):
    made = io.BytesIO()
    corpus = [text.replace("\0", " ").replace("\n", " ") for text in texts * 3 if text.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus),
        model_writer=made,
        vocab_size=vocabulary,
        character_coverage=0.98,
        normalization_rule_tsv=rules_of_characters(),
        add_dummy_prefix=True,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
    )
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(made.getvalue())
    return [
        (piece.piece, round(piece.score, 4)) for piece in proto.pieces[3:]
    ], proto.normalizer_spec.precompiled_charsmap


def roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    specials = ["<s>", "<pad>", "</s>", "<unk>"]
    tokenizer.train_from_iterator(
        texts * 3,
        trainers.BpeTrainer(
            vocab_size=700,
            special_tokens=specials,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False
    )
    return tokenizer


def xlm_roberta():
    pieces, characters = train_sentences(420)
    vocabulary = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *pieces, ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.Precompiled(characters)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    return tokenizer


def deberta():
    pieces, characters = train_sentences(300)
    vocabulary = [("[PAD]", 0.0), ("[CLS]", 0.0), ("[SEP]", 0.0), ("[UNK]", 0.0), *pieces]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Strip(), normalizers.Precompiled(characters), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(prepend_scheme="always")])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", AddedToken("[UNK]", normalized=True), "[MASK]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    return tokenizer


def cased_bert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        texts * 3,
        trainers.WordPieceTrainer(
            vocab_size=900,
            limit_alphabet=420,
            special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tokenizer


def units(text):
    """UTF-16 position of each code point, and of the end."""
    at, positions = 0, []
    for char in text:
        positions.append(at)
        at += 2 if ord(char) > 0xFFFF else 1
    return positions + [at]


def answers(tokenizer):
    single = []
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        at = units(text)
        single.append(
            {
                "ids": encoding.ids,
                "offsets": [at[offset] for pair in encoding.offsets for offset in pair],
                "words": encoding.word_ids,
            }
        )
    pairs = []
    for first, second in [(2, 4), (6, 8), (0, 3)]:
        encoding = tokenizer.encode(texts[first], texts[second])
        pairs.append({"first": first, "second": second, "ids": encoding.ids, "typeIds": encoding.type_ids})
    decoded = [
        [
            tokenizer.decode(tokenizer.encode(texts[at]).ids),
            tokenizer.decode(tokenizer.encode(texts[at]).ids, skip_special_tokens=False),
        ]
        for at in (2, 4, 34)
    ]
    return {"single": single, "pairs": pairs, "decoded": decoded}


def write(path, value):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n")


configs = {
    "roberta": {
        "mask_token": {"content": "<mask>", "lstrip": True, "__type": "AddedToken"},
        "bos_token": {"content": "<s>"},
    },
    "xlm-roberta": {"mask_token": "<mask>", "eos_token": {"content": "</s>", "__type": "AddedToken"}},
    "deberta-v3": {},
    "cased-bert": {"mask_token": "[MASK]", "do_lower_case": False},
}
write(here / "texts.json", texts)
for name, make in [
    ("roberta", roberta),
    ("xlm-roberta", xlm_roberta),
    ("deberta-v3", deberta),
    ("cased-bert", cased_bert),
]:
    tokenizer = make()
    write(here / name / "tokenizer.json", json.loads(tokenizer.to_str()))
    write(here / name / "tokenizer_config.json", configs[name])
    write(here / name / "expected.json", answers(tokenizer))
write(here / "minilm" / "expected.json", answers(Tokenizer.from_file(str(minilm))))
write(here / "deberta-v3" / "special_tokens_map.json", {"mask_token": {"content": "[MASK]"}})
