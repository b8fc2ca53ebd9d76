"""A gateway with rows and a browser before it: what the tests of the console begin with."""

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.browser import Browser, Page, SealedBrowser, open_browser
from tests.e2e.fleet import MASTER_KEY, Fleet, Line, running_fleet, running_upstream

from routeiq_signing.progress import QuietProgress
from routeiq_vendor.fetch import ensure_console
from routeiq_vendor.workspace import Workspace

__all__ = ["HOSTILE", "VIEWS", "Site", "answer_with", "call", "enter", "go", "open_site"]

HOSTILE = "<img src=x onerror=window.hacked=1>"
VIEWS = ("overview", "models", "decisions", "keys", "spend")


def _config(api_base: str) -> dict[str, Any]:
    def entry(name: str, model: str, **params: object) -> dict[str, object]:
        common = {"model": f"openai/{model}", "api_base": api_base, "api_key": "sk-up"}
        return {"model_name": name, "litellm_params": {**common, **params}}

    small = {"input_cost_per_token": 0.00000015, "output_cost_per_token": 0.0000006}
    return {
        "model_list": [
            entry("small", "plain", **small),
            entry("small", "tools", **small),
            entry("large", "large", input_cost_per_token=0.000003, output_cost_per_token=0.000015),
            entry("unpriced", "free"),
            entry("dead", "dead", api_base="http://127.0.0.1:9/v1", **small),
        ],
        "routeiq": {"egress": "sealed", "canaries": []},
    }


@dataclass(frozen=True)
class Site:
    """A gateway with rows, and a browser that can reach nothing else. The keys are secrets, by alias."""

    fleet: Fleet
    sealed: SealedBrowser
    keys: dict[str, str]

    @property
    def browser(self) -> Browser:
        """Chromium."""
        return self.sealed.browser

    def post(self, path: str, body: Any, *, key: str = MASTER_KEY) -> Any:
        """Change something as an admin; returns the answer."""
        with contextlib.closing(Line(self.fleet.port)) as line:
            answer = line.post(path, body, key=key)
        assert answer.status == 200, answer.body
        return answer.json

    def ask(self, model: str, alias: str) -> None:
        """Call a model with a key."""
        with contextlib.closing(Line(self.fleet.port)) as line:
            assert line.ask(model, key=self.keys[alias]).status == 200

    def page(self) -> Page:
        """A tab that shows the form; HTTP Basic is answered as a person would."""
        page = self.browser.open(password=self.keys["viewer"])
        page.resize(1440, 1000)
        page.visit(f"{self.fleet.url}/ui/")
        page.until("document.querySelector('#key')")
        return page

    def signed_in(self, key: str = MASTER_KEY, view: str = "overview") -> Page:
        """A tab of a console that was entered with a key."""
        page = self.page()
        enter(page, key)
        page.until("document.querySelector('nav')")
        go(page, view)
        return page


def enter(page: Page, key: str) -> None:
    """Write a key into the form and send it."""
    page.run("document.querySelector('#key').focus()")
    page.write(key)
    page.press("Enter")


def go(page: Page, view: str) -> None:
    """Change to a view and wait until it has loaded."""
    page.run(f"location.hash = '{view}'")
    page.until(f"document.querySelector('nav [aria-current=page]').hash === '#{view}'")
    page.until("!document.body.innerText.includes('Loading …')")


@contextmanager
def open_site(folder: Path) -> Iterator[Site]:
    """Run a gateway with keys, a team and calls, and a browser before it."""
    console = ensure_console(Workspace.find(os.environ), QuietProgress(), offline=False)
    environ = {"ROUTEIQ_CONSOLE_PATH": str(console)}
    with (
        running_upstream() as (_, api_base),
        running_fleet(_config(api_base), folder / "f", workers=1, environ=environ) as fleet,
        open_browser(folder / "browser", fleet.port) as sealed,
    ):
        site = Site(fleet, sealed, {})
        site.post("/team/new", {"team_id": "t1", "team_alias": "Research", "max_budget": 5})
        site.post("/team/new", {"team_id": "t2", "team_alias": HOSTILE})
        wanted: list[tuple[str, dict[str, object]]] = [
            ("chat frontend", {"team_id": "t1", "max_budget": 0.0001, "rpm_limit": 600}),
            (HOSTILE, {"team_id": "t2"}),
            ("large budget", {"max_budget": 8999999.25}),
            ("viewer", {"role": "viewer"}),
            ("plain key", {}),
            ("stopped", {}),
        ]
        for alias, fields in wanted:
            site.keys[alias] = site.post("/key/generate", {"key_alias": alias, **fields})["key"]
        site.post("/key/block", {"key": site.keys["stopped"]})
        for model in ("small", "large", "auto", "unpriced"):
            site.ask(model, "chat frontend")
        site.ask("small", HOSTILE)
        yield site


def call(identity: str, spend: str) -> str:
    """Return a row of `/spend/logs` as JSON; `spend` with just these digits."""
    return (
        f'{{"request_id": "{identity}", "call_type": "acompletion", "api_key": "master", "model": "m",'
        f' "model_group": "m", "model_id": "m-1", "spend": {spend}, "prompt_tokens": 1, "completion_tokens": 1,'
        f' "total_tokens": 2,'
        f' "startTime": "2026-11-21T00:00:00Z", "request_duration_ms": 1, "team_id": null, "status": "success",'
        f' "metadata": {{"decision": null}}}}'
    )


def answer_with(page: Page, path: str, body: Any, *, status: int = 200) -> None:
    """From now on the page gets this answer for a path, as if the gateway had given it."""
    text = json.dumps(body if isinstance(body, str) else json.dumps(body))
    page.run(f"""(() => {{
      const before = window.fetch;
      window.fetch = (...sent) => String(sent[0]).startsWith('{path}')
        ? Promise.resolve(new Response({text}, {{status: {status}}})) : before(...sent);
    }})()""")
