"""Embeds texts through LangChain's OpenAIEmbeddings, as it is and told to send texts. Prints one JSON object: the
vectors, and what each answer warned of.

Usage: langchain_client.py URL KEY MODEL, the JSON list of texts on standard input
"""

import json
import sys

import httpx
from langchain_openai import OpenAIEmbeddings

url, key, model = sys.argv[1:]
texts = json.load(sys.stdin)
warnings: list[str | None] = []
listening = httpx.Client(event_hooks={"response": [lambda response: warnings.append(response.headers.get("x-warnings"))]})
common = {"model": model, "base_url": f"{url}/v1", "api_key": key, "http_client": listening}
by_default = OpenAIEmbeddings(**common)
as_texts = OpenAIEmbeddings(**common, check_embedding_ctx_length=False)

print(
    json.dumps(
        {
            "by_default": by_default.embed_documents(texts),
            "as_texts": as_texts.embed_documents(texts),
            "query": by_default.embed_query(texts[0]),
            "warnings": warnings,
        }
    )
)
