"""
Makes chats.json: what transformers' apply_chat_template makes of conversations by the templates of this folder, or the
words with which a template refuses them.

    pip install transformers==5.24.0 tokenizers==0.23.3 jinja2 && python make_chats.py

The templates are written for these tests, in the manner of those of the families they are named after.
"""

import datetime, json, pathlib
from jinja2 import TemplateError
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

here = pathlib.Path(__file__).parent


class Fixed(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 5, 7, 8, 9)


chat_template_utils.datetime = Fixed
tokens = {
    "llama-3": ["<|begin_of_text|>", "<|eot_id|>"],
    "qwen-2.5": ["<|endoftext|>", "<|im_end|>"],
    "qwen-3": ["<|endoftext|>", "<|im_end|>"],
    "gemma-3": ["<bos>", "<eos>"],
    "mistral": ["<s>", "</s>"],
}
with_tools = {
    "qwen-tools": ["<|endoftext|>", "<|im_end|>"],
    "llama-tools": ["<|begin_of_text|>", "<|eot_id|>"],
    "mistral-tools": ["<s>", "</s>"],
}


def chat(*contents, system=None):
    roles = ["user", "assistant"]
    turns = [{"role": roles[at % 2], "content": content} for at, content in enumerate(contents)]
    return ([{"role": "system", "content": system}] if system is not None else []) + turns


chats = [
    chat("Hello"),
    chat("Is water wet?", system="You answer in one word."),
    chat("  spaces \n", " around ", "\tthem\n"),
    chat("Hi, I'm Ada.", "Hello Ada!", "What's my name? 你好 👋 “q” <&> \\n {{ x }}", system="  Trim? "),
    chat("", "", ""),
    chat("Think.", "<think>\nhm\n</think>\n\nDone.", "Again.", "<think>\nwell\n</think>\n\nYes."),
    chat("One", "Two"),
    [{"role": "assistant", "content": "I begin"}],
    [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    [
        {"role": "user", "content": "a"},
        {"role": "tool", "content": 'é "quoted" \U0001f600'},
        {"role": "user", "content": "c"},
    ],
    [{"role": "user", "content": "a"}, {"role": "system", "content": "late"}],
]
tools = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": 'The "weather" of a cité,\nnow & then',
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 0}},
                "required": ["city"],
            },
        },
    },
    {"type": "function", "function": {"name": "now", "parameters": {"type": "object", "properties": {}}}},
]


def called(*calls):
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": f"aaaaaaaa{at}", "type": "function", "function": {"name": name, "arguments": given}}
            for at, (name, given) in enumerate(calls)
        ],
    }


def answered(at, content):
    return {"role": "tool", "tool_call_id": f"aaaaaaaa{at}", "content": content}


paris = ("weather", {"city": "Paris é", "days": 2, "more": [True, None, {"x": 0.5}]})
tool_chats = [
    chat("How warm is it?"),
    chat("How warm is it?", system="Be brief."),
    [*chat("How warm?"), called(paris), answered(0, "21 °C")],
    [*chat("How warm?"), called(paris), answered(0, '{"c": 21}'), *chat("And now?")],
    [*chat("Both?"), called(paris, ("now", {})), answered(0, "21"), answered(1, "noon")],
    [*chat("Yes?"), called(("now", {})), answered(0, ""), {"role": "assistant", "content": "Noon."}],
]
rows = []


def add(name, tokenizer, messages, prompted, tools=None):
    row = {
        "template": name,
        "bosToken": tokenizer.bos_token,
        "eosToken": tokenizer.eos_token,
        "messages": messages,
        "addGenerationPrompt": prompted,
    }
    if tools is not None:
        row["tools"] = tools
    try:
        row["prompt"] = tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=prompted, tokenize=False
        )
    except TemplateError as error:
        row["refused"] = str(error)
    rows.append(row)


def tokenizer_of(name, bos, eos):
    template = (here / f"{name}.jinja").read_text()
    library = Tokenizer(models.WordLevel({bos: 0, eos: 1}, bos))
    return PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token=bos, eos_token=eos, chat_template=template
    )


for name, marks in tokens.items():
    for messages in chats:
        for prompted in [True, False]:
            add(name, tokenizer_of(name, *marks), messages, prompted)
for name, marks in with_tools.items():
    for messages in tool_chats:
        add(name, tokenizer_of(name, *marks), messages, True, tools)
    add(name, tokenizer_of(name, *marks), chat("Hello"), True)
(here / "chats.json").write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n")
