"""OpenAI's Python client, unmodified."""

import asyncio

import httpx
from openai import AsyncOpenAI, OpenAI

from exchange import asked, failure, failures, key, model, tell, texts, url

sent: list[int] = []
counting = httpx.Client(event_hooks={"response": [lambda response: sent.append(response.status_code)]})
base = {"base_url": f"{url}/v1", "api_key": key}
client = OpenAI(**base)
free = OpenAI(base_url=f"{url}/v1", api_key=asked["free_key"], http_client=counting)


def vectors(answer) -> list[list[float]]:
    return [each.embedding for each in answer.data]


async def one_by_one() -> list[list[float]]:
    async with AsyncOpenAI(**base) as client:
        answers = await asyncio.gather(*(client.embeddings.create(model=model, input=text) for text in texts))
    return [vectors(answer)[0] for answer in answers]


raw = client.embeddings.with_raw_response.create(model=model, input=texts, user="somebody", dimensions=384)
tell(
    {
        "by_default": vectors(client.embeddings.create(model=model, input=texts)),
        "as_floats": vectors(client.embeddings.create(model=model, input=texts, encoding_format="float")),
        "one_by_one": asyncio.run(one_by_one()),
        "with_extras": vectors(raw.parse()),
        "warnings": raw.headers["x-warnings"],
        "truncated": client.embeddings.create(
            model=model, input=asked["too_long"], extra_body={"truncate": True}
        ).usage.model_dump(),
        "models": [each.id for each in client.models.list()],
        "failures": failures(
            lambda mistake: OpenAI(base_url=f"{url}/v1", api_key=mistake["key"] or key).embeddings.create(
                model=mistake["name"], input=mistake["text"]
            )
        ),
        "too_much": failure(lambda: free.embeddings.create(model=model, input=asked["too_much"])),
        "sent": sent,
    }
)
