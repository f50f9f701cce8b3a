"""Cohere's Python clients, of both versions of its API."""

import asyncio
import time

import cohere
from exchange import asked, failure, key, model, tell, url

question: dict = asked["question"]
objects = [{"text": text} for text in question["documents"]]
second = cohere.ClientV2(key, base_url=url)
free = cohere.ClientV2(asked["free_key"], base_url=url)


def ranks(answer) -> list[dict]:
    return [{"index": each.index, "relevance_score": each.relevance_score} for each in answer.results]


async def at_once() -> list[list[dict]]:
    client = cohere.AsyncClientV2(key, base_url=url)
    return [ranks(each) for each in await asyncio.gather(*(client.rerank(model=model, **question) for _ in range(3)))]


first = cohere.Client(key, base_url=url).rerank(
    model=model, query=question["query"], documents=objects, top_n=2, return_documents=True
)
started_at = time.monotonic()
too_much = failure(lambda: free.rerank(model=model, query="a", documents=asked["too_much"]))
tell(
    {
        "second": ranks(second.rerank(model=model, **question, max_tokens_per_doc=100)),
        "first": ranks(first),
        "documents": [each.document.text for each in first.results],
        "at_once": asyncio.run(at_once()),
        "failures": [
            failure(
                lambda: second.rerank(model=mistake["name"], query=mistake["query"], documents=question["documents"])
            )
            for mistake in asked["rank_mistakes"]
        ],
        "too_much": too_much,
        "too_much_seconds": time.monotonic() - started_at,
    }
)
