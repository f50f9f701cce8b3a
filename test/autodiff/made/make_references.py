"""Writes references.json: what PyTorch's optimizers, gradients at corners and transformers' schedules give.

python make_references.py    (transformers 5.24, torch 2.15)
"""

import json
from pathlib import Path

import torch
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

generator = torch.Generator().manual_seed(7)
STEPS = 5
SHAPES = {"matrix": [3, 4], "bias": [4]}
START = {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}
# The first is long enough to be clipped, another has zeros.
GRADIENTS = [
    {
        name: torch.randn(shape, generator=generator) * scale
        for name, shape in SHAPES.items()
    }
    for scale in (3.0, 0.1, 0.0, 0.5, 1e-4)
]
RATES = [1e-2, 2e-2, 1e-2, 5e-3, 1e-3]


def numbers(tensor):
    return tensor.flatten().tolist()


def run(make, max_norm, states):
    parameters = {name: torch.nn.Parameter(start.clone()) for name, start in START.items()}
    optimizer = make(parameters)
    factors = [group["lr"] for group in optimizer.param_groups]
    steps = []
    for gradients, rate in zip(GRADIENTS, RATES):
        for name, parameter in parameters.items():
            parameter.grad = gradients[name].clone()
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), max_norm)
        for group, factor in zip(optimizer.param_groups, factors):
            group["lr"] = rate * factor
        optimizer.step()
        steps.append(
            {
                "norm": norm.item(),
                "values": {
                    name: numbers(parameter.detach()) for name, parameter in parameters.items()
                },
                "states": {
                    f"{name}.{state}": numbers(optimizer.state[parameter][state])
                    for name, parameter in parameters.items()
                    for state in states
                },
            }
        )
    return steps


def groups(parameters, decay, bias_rate=1.0):
    return [
        {"params": [parameters["matrix"]], "weight_decay": decay, "lr": 1.0},
        {"params": [parameters["bias"]], "weight_decay": 0.0, "lr": bias_rate},
    ]


def adam_w(decay, bias_rate=1.0, **options):
    return lambda parameters: torch.optim.AdamW(groups(parameters, decay, bias_rate), **options)


def sgd(decay, **options):
    return lambda parameters: torch.optim.SGD(groups(parameters, decay), **options)


moments = ["exp_avg", "exp_avg_sq"]
momentum = ["momentum_buffer"]
cases = {
    "adamW": run(adam_w(0.1), 1.0, moments),
    "adamW, own rate and betas": run(
        adam_w(0.01, 10.0, betas=(0.8, 0.95), eps=1e-6), float("inf"), moments
    ),
    "sgd": run(sgd(0.1, momentum=0.9), 1.0, momentum),
    "sgd, nesterov": run(sgd(0.0, momentum=0.8, nesterov=True), 2.0, momentum),
}


def schedule(make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(21):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return factors


schedules = {
    "constant": schedule(lambda each: get_constant_schedule_with_warmup(each, 4)),
    "linear": schedule(lambda each: get_linear_schedule_with_warmup(each, 4, 20)),
    "cosine": schedule(lambda each: get_cosine_schedule_with_warmup(each, 4, 20)),
}


def corner(function, *inputs):
    leaves = [torch.tensor(values, requires_grad=True) for values in inputs]
    function(*leaves).sum().backward()
    return [leaf.grad.flatten().tolist() for leaf in leaves]


X = [-1.0, 0.0, 0.0, 1.0, 1.0]
corners = {
    "Relu": corner(torch.relu, X),
    "Abs": corner(torch.abs, X),
    "Max": corner(torch.maximum, X, [0.0, 0.0, -1.0, 1.0, 2.0]),
    "Min": corner(torch.minimum, X, [0.0, 0.0, -1.0, 1.0, 2.0]),
    "Clip": corner(lambda x: torch.clamp(x, 0.0, 1.0), X),
    "ReduceMax": corner(lambda x: torch.amax(x, 0), X),
    "ReduceMin": corner(lambda x: torch.amin(x, 0), [-1.0, -1.0, 0.0, -1.0]),
    "ReduceL2": corner(lambda x: torch.linalg.vector_norm(x, dim=0), [0.0, 0.0]),
    "Sqrt": corner(torch.sqrt, [0.25, 1.0]),
    "Pow": corner(lambda x: x**0, [0.0, 2.0]),
}

document = {
    "shapes": SHAPES,
    "start": {name: numbers(start) for name, start in START.items()},
    "gradients": [
        {name: numbers(gradient) for name, gradient in step.items()} for step in GRADIENTS
    ],
    "rates": RATES,
    "cases": cases,
    "schedules": schedules,
    "corners": corners,
}
target = Path(__file__).with_name("references.json")
target.write_text(json.dumps(document) + "\n")
