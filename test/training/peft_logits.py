"""The logits of a base with an adapter as Hugging Face's PEFT computes them.

    python test/training/peft_logits.py BASE ADAPTER '[[1, 3, 9], …]'

Prints them as JSON, of each token of each text. Oracle of test/training/peft-decoders.test.ts.
"""
import json, sys

import torch, transformers
from peft import PeftModel

transformers.logging.set_verbosity_error()
torch.set_num_threads(1)
base, adapter, texts = sys.argv[1:]
model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
model = PeftModel.from_pretrained(model, adapter).eval()
with torch.no_grad():
    # Of the text's own tokens, behind virtual ones.
    logits = [
        model(input_ids=torch.tensor([ids])).logits[0, -len(ids) :].tolist() for ids in json.loads(texts)
    ]
print(json.dumps(logits))
