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
rows = []
for name, (bos, eos) in tokens.items():
    template = (here / f"{name}.jinja").read_text()
    library = Tokenizer(models.WordLevel({bos: 0, eos: 1}, bos))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=library, bos_token=bos, eos_token=eos, chat_template=template
    )
    for messages in chats:
        for prompted in [True, False]:
            row = {
                "template": name,
                "bosToken": bos,
                "eosToken": eos,
                "messages": messages,
                "addGenerationPrompt": prompted,
            }
            try:
                row["prompt"] = tokenizer.apply_chat_template(
                    messages, add_generation_prompt=prompted, tokenize=False
                )
            except TemplateError as error:
                row["refused"] = str(error)
            rows.append(row)
(here / "chats.json").write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n")
