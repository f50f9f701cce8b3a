"""What PEFT and transformers compute with the adapter `ner-en`, its table of word shapes added to the word
embeddings: the oracle of test/catalog/ner-en.test.ts.

    python -m venv .bench/peft && .bench/peft/bin/pip install peft==0.21.2 torch==2.15.0 transformers==5.24.0
    .bench/peft/bin/python test/catalog/made/make_ner_en.py ../shared/models/all-MiniLM-L6-v2

writes ner-en.json: the texts, and the logits of each one's tokens. Made in f32 on the CPU.
"""
import json, pathlib, sys

import torch, transformers
from peft import PeftModel
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent / "model/made"))
from make_word_shapes import shape

FOLDER = HERE.parent.parent.parent / "gpu-worker/catalog/embedded/ner-en"
ROWS = ["special", "digits", "with digits", "punctuation", "lower", "upper", "capital", "title", "mixed"]
TEXTS = [
    "Angela Merkel met Emmanuel Macron in Paris on 12 March.",
    "U.N. official Ekeus heads for Baghdad .",
    "SOCCER - JAPAN GET LUCKY WIN , CHINA IN SURPRISE DEFEAT .",
    "McDonald's opened 3 restaurants in the UK, said J. Smith of Reuters.",
]

transformers.logging.set_verbosity_error()
torch.set_grad_enabled(False)
torch.set_num_threads(1)

labels = json.loads((FOLDER / "llm-os.json").read_text())["labels"]
base = transformers.AutoModelForTokenClassification.from_pretrained(sys.argv[1], num_labels=len(labels))
model = PeftModel.from_pretrained(base, FOLDER).eval()
tensors = load_file(FOLDER / "adapter_model.safetensors")
table = next(value for name, value in tensors.items() if "word_shape" in name)
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])


def shapes(text, encoding):
    return [
        0 if word is None else ROWS.index(shape(text[slice(*encoding.word_to_chars(word))]))
        for word in encoding.word_ids()
    ]


def logits(text):
    encoding = tokenizer(text)
    rows = torch.tensor([shapes(text, encoding)])
    words = base.get_input_embeddings()
    hook = words.register_forward_hook(lambda _, __, given: given + table[rows])
    output = model(input_ids=torch.tensor([encoding["input_ids"]])).logits[0]
    hook.remove()
    # Without the special tokens.
    return [[round(value, 5) for value in token] for token in output[1:-1].tolist()]


made = [{"text": text, "logits": logits(text)} for text in TEXTS]
(HERE / "ner-en.json").write_text(json.dumps({"labels": labels, "texts": made}) + "\n")
