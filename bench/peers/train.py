"""Peer of bench/train.ts: the same steps by PyTorch and transformers on the CPU.

Usage: train.py < order.json
Reads what bench/harness/training-batches.ts calls TrainingOrder, takes a step of AdamW (the fused one, which is the
fastest here) over each batch, and prints TrainingFigures as one JSON line.
"""

import json
import resource
import sys
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.utils import logging

WEIGHT_DECAY = 0.01
MAX_NORM = 1.0

CLASSES = {
    "sequence-classification": AutoModelForSequenceClassification,
    "token-classification": AutoModelForTokenClassification,
}


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    order = json.load(sys.stdin)
    torch.set_num_threads(order["threads"])
    torch.manual_seed(0)
    model = CLASSES[order["task"]].from_pretrained(order["folder"], num_labels=order["classes"])
    model.train()
    named = list(model.named_parameters())
    plain = [p for name, p in named if name.endswith("bias") or "LayerNorm" in name]
    decayed = [p for name, p in named if not (name.endswith("bias") or "LayerNorm" in name)]
    groups = [
        {"params": decayed, "weight_decay": WEIGHT_DECAY},
        {"params": plain, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=order["learningRate"], fused=True)
    seconds, losses = [], []
    begun, cpu = time.perf_counter(), time.process_time()
    for batch in order["batches"]:
        start = time.perf_counter()
        if start - begun > order["secondsMax"]:
            break
        out = model(
            input_ids=torch.tensor(batch["ids"]),
            attention_mask=torch.tensor(batch["mask"]),
            labels=torch.tensor(batch["labels"]),
        )
        out.loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(out.loss.item())
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        json.dumps(
            {
                "seconds": seconds,
                "losses": losses,
                "cpuSeconds": time.process_time() - cpu,
                "peakBytes": peak,
            }
        )
    )


main()
