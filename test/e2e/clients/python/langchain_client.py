"""LangChain's OpenAIEmbeddings, as it is, which sends token ids, and told to send texts."""

import asyncio

import httpx
from langchain_openai import OpenAIEmbeddings

from exchange import asked, failure, failures, key, model, tell, texts, url

warnings: list[str | None] = []
sent: list[int] = []
listening = httpx.Client(
    event_hooks={"response": [lambda response: warnings.append(response.headers.get("x-warnings"))]}
)
counting = httpx.Client(event_hooks={"response": [lambda response: sent.append(response.status_code)]})


def encoder(**changed) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(**{"model": model, "base_url": f"{url}/v1", "api_key": key, **changed})


by_default = encoder(http_client=listening)
as_texts = encoder(http_client=listening, check_embedding_ctx_length=False)
free = encoder(api_key=asked["free_key"], http_client=counting)
tell(
    {
        "by_default": by_default.embed_documents(texts),
        "as_texts": as_texts.embed_documents(texts),
        "query": by_default.embed_query(texts[0]),
        "warnings": warnings,
        "in_batches": encoder(chunk_size=2).embed_documents(texts),
        "asynchronously": asyncio.run(encoder().aembed_documents(texts)),
        "truncated": encoder(model_kwargs={"extra_body": {"truncate": True}}).embed_documents([asked["too_long"]]),
        "failures": failures(
            lambda mistake: encoder(model=mistake["name"], api_key=mistake["key"] or key).embed_query(mistake["text"])
        ),
        "too_much": failure(lambda: free.embed_documents(asked["too_much"])),
        "sent": sent,
    }
)
