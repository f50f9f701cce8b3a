"""Twenty steps of AdamW by sentence-transformers' own losses on a tiny model, for similarity.test.ts.

    pip install torch sentence-transformers
    python make_similarity.py
"""

import json
import pathlib
import random

import torch
from sentence_transformers import SentenceTransformer, losses

here = pathlib.Path(__file__).parent
folder = here.parents[1] / "checkpoints/library-checkpoints/st-bert-mean-normalize"
steps, pairs, length, rate = 20, 6, 7, 2e-3


def features(rows):
    ids = torch.tensor(rows)
    return {"input_ids": ids, "attention_mask": (ids != 0).long(), "token_type_ids": ids * 0}


def made_row(chance, vocabulary):
    count = chance.randint(2, length)
    return [chance.randrange(5, vocabulary) for _ in range(count)] + [0] * (length - count)


def run(name):
    model = SentenceTransformer(str(folder), device="cpu")
    model.eval()  # No dropout; gradients flow all the same.
    chance = random.Random(7)
    vocabulary = model[0].auto_model.config.vocab_size
    trained = [(n, p) for n, p in model.named_parameters() if "pooler" not in n]
    plain = [p for n, p in trained if n.endswith("bias") or "LayerNorm" in n]
    decayed = [p for n, p in trained if not (n.endswith("bias") or "LayerNorm" in n)]
    groups = [{"params": decayed, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    by = "cosine" if name == "cosine" else "contrast"
    loss_of = {
        "cosine": losses.CosineSimilarityLoss,
        "contrast": losses.MultipleNegativesRankingLoss,
    }[by](model)
    taken = []
    for _ in range(steps):
        columns = 3 if name == "triples" else 2
        texts = [[made_row(chance, vocabulary) for _ in range(pairs)] for _ in range(columns)]
        labels = [round(chance.uniform(-1, 1), 3) for _ in range(pairs)] if by == "cosine" else None
        given = None if labels is None else torch.tensor(labels)
        loss = loss_of([features(rows) for rows in texts], given)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for _, p in trained], 1.0)
        optimizer.step()
        rows = [row for column in texts for row in column]
        taken.append({"input_ids": rows, "labels": labels, "loss": loss.item(), "grad_norm": norm.item()})
    return {"by": by, "learning_rate": rate, "steps": taken}


file = here / "similarity.json"
file.write_text(json.dumps({name: run(name) for name in ("pairs", "triples", "cosine")}))
print(file, file.stat().st_size)
