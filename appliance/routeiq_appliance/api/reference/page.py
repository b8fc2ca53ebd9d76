"""The document as one HTML page: no script, no font, no image, nothing from anywhere else."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from itertools import groupby

from routeiq_appliance.api.reference.listing import Field, Listed

__all__ = ["page_headers", "render_page"]

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#1c2733;background:#fff}
h2{margin-top:2.5rem;text-transform:capitalize}
details{border:1px solid #d5dce4;border-radius:6px;margin:.4rem 0;padding:.4rem .8rem}
summary{cursor:pointer}
code,.method{font-family:ui-monospace,monospace}
.method{display:inline-block;min-width:4.5rem;font-weight:600}
.who{color:#5b6b7b}
table{border-collapse:collapse;margin:.6rem 0}
th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #e8ecf1;vertical-align:top}
@media (prefers-color-scheme:dark){body{background:#12171d;color:#dde4ec}details,th,td{border-color:#33404d}}
"""


def page_headers() -> dict[str, str]:
    """Return the headers under which a browser loads and runs nothing beside the page's own style."""
    digest = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return {
        "content-security-policy": f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none';"
        " base-uri 'none'; form-action 'none'",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
    }


def render_page(operations: Iterable[Listed], *, version: str) -> str:
    """Return the page."""
    body = "".join(_sections(operations))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<title>RouteIQ Appliance API</title><style>{_STYLE}</style></head><body>"
        f"<h1>RouteIQ Appliance {escape(version)}: API</h1>"
        '<p>For tools: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1). Every path needs a key but liveliness'
        f" and readiness.</p>{body}</body></html>\n"
    )


def _sections(operations: Iterable[Listed]) -> Iterator[str]:
    for tag, found in groupby(operations, lambda item: item.tag):
        yield f"<h2>{escape(tag)}</h2>"
        yield from map(_operation, found)


def _operation(item: Listed) -> str:
    return (
        f'<details><summary><span class="method">{escape(item.method)}</span> <code>{escape(item.path)}</code>'
        f' <span class="who">{escape(item.who)}</span></summary><p>{escape(item.summary)}</p>'
        f"{_table('Takes', item.takes)}{_table('Gives', item.gives)}"
        f"<p>Answers: {escape(', '.join(item.statuses))}; {escape(', '.join(item.media))}</p></details>"
    )


def _table(title: str, fields: Iterable[Field]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(field.name)}</code></td><td>{escape(field.place)}</td><td>{escape(field.type)}</td>"
        f"<td>{'required ' if field.required else ''}{escape(field.description)}</td></tr>"
        for field in fields
    )
    head = "<tr><th></th><th>in</th><th>type</th><th></th></tr>"
    return f"<h4>{title}</h4><table>{head}{rows}</table>" if rows else ""
