"""An application at the site: the official openai package, pointed at the gateway. Run inside the sealed network.

Usage: client.py BASE_URL PROMPT; the key comes from OPENAI_API_KEY. Prints what it got as JSON.
"""

import json
import sys

from openai import APIStatusError, OpenAI


def main(base_url: str, prompt: str) -> None:
    """Ask `auto` in one piece, with a tool and as a stream; and a model for what it cannot do."""
    client = OpenAI(base_url=base_url, max_retries=0, timeout=60)
    request = {
        "model": "auto",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 40,
        "temperature": 0,
    }
    whole = client.chat.completions.with_raw_response.create(**request)
    answer = whole.parse()
    stream = client.chat.completions.with_raw_response.create(**request, stream=True)
    tool = {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
    with_tool = client.chat.completions.create(**request, tools=[tool], tool_choice="none")
    try:
        client.embeddings.create(model="small", input="a chat model embeds nothing")
        refusal = None
    except APIStatusError as error:
        refusal = {"status": error.status_code, "error": error.body}
    chunks = [chunk.choices[0].delta.content or "" for chunk in stream.parse() if chunk.choices]
    result = {
        "models": sorted(model.id for model in client.models.list()),
        "whole": {
            "text": answer.choices[0].message.content,
            "tokens": answer.usage.completion_tokens,
            "headers": dict(whole.headers),
        },
        "with_tool": with_tool.choices[0].finish_reason,
        "refusal": refusal,
        "stream": {"text": "".join(chunks), "chunks": len(chunks), "headers": dict(stream.headers)},
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
