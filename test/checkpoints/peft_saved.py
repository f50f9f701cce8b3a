"""What the scripts beside it have in common: a model of PEFT's as a folder that names its base, its numbers rounded for
a file of expected answers, and the likeliest tokens that follow a text."""
import json

import torch


def save(model, folder, base_name, **changes):
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    file = folder / "adapter_config.json"
    saved = json.loads(file.read_text()) | {"base_model_name_or_path": base_name} | changes
    if "target_modules" in saved:
        saved["target_modules"] = sorted(saved["target_modules"])
    file.write_text(json.dumps(saved, indent=2) + "\n")


def rounded(rows, digits):
    return [[round(value, digits) for value in row] for row in rows.tolist()]


def greedy(model, ids, count):
    made = []
    while len(made) < count:
        logits = model(input_ids=torch.tensor([ids + made])).logits[0, -1]
        made.append(int(logits.argmax()))
    return made
