"""The operator console in a real Chromium, before a real gateway, in a network that leads nowhere (A6, M1, M5)."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.console_site import HOSTILE, VIEWS, Site, answer_with, call, enter, go, open_site
from tests.e2e.fleet import MASTER_KEY, Line, eventually

pytestmark = pytest.mark.e2e

PICTURES = Path(__file__).parents[2] / "build" / "console-pictures"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("console")) as site:
        yield site


def test_an_operator_sees_models_decisions_keys_and_spend(site: Site) -> None:
    page = site.signed_in()
    page.shows("Egress")
    assert "ready" in page.text()
    assert "sealed" in page.text()
    page.until("/Workers\\s+1/.test(document.body.innerText)")

    go(page, "models")
    page.shows("4 groups, 5 deployments")
    for text in ("small-1", "small-2", "openai/large", "unpriced", "config.yaml", "served"):
        page.shows(text)

    go(page, "decisions")
    page.shows("chat frontend")
    for text in ("the caller named the group", "first of the declared order", "explicit", "declared-order"):
        page.shows(text)
    page.shows("$0.00000225")  # 7 tokens in, 2 out, each digit of it
    page.shows("unpriced")

    go(page, "keys")
    page.shows("6 in all")
    row = "[...document.querySelectorAll('tr')].find(row => row.innerText.includes('{}')).innerText"
    page.until(f"{row.format('chat frontend')}.includes('Research')")
    frontend = page.run(row.format("chat frontend"))
    for text in ("Research", "600 requests/min", "of $0.0001", "active"):
        assert text in frontend
    assert "blocked" in page.run(row.format("stopped"))
    assert "viewer" in page.run(row.format("viewer"))

    go(page, "spend")
    page.shows("Research")
    for text in ("$0.0000555", "Calls without a price", "their cost is unknown, not zero"):
        page.shows(text)
    assert page.run("document.querySelectorAll('figure svg rect.filled').length") >= 1
    assert page.complaints == []


def test_nothing_is_asked_of_anybody_but_the_gateway(site: Site) -> None:
    page = site.signed_in()
    for view in VIEWS:
        go(page, view)
    addresses = {url for _, url in page.requests if not url.startswith("data:")}
    assert addresses
    assert all(url.startswith(f"{site.fleet.url}/") for url in addresses)
    # The key is in no address, nor in anything that outlives the tab.
    assert not any(MASTER_KEY in url for url in addresses)
    assert page.run("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
    # What a script would try is refused before it reaches the network.
    outside = "fetch('http://198.51.100.1/x').then(() => 'went', () => 'refused')"
    assert page.run(outside) == "refused"
    page.run("document.body.appendChild(Object.assign(new Image(), {src: 'http://198.51.100.1/x.png'})); 1")
    page.until("document.images[0].complete")
    assert site.sealed.sensor.read().inside.left == 0
    assert site.sealed.sensor.control() > 0


def test_no_inline_script_runs(site: Site) -> None:
    page = site.page()
    page.run("""(() => {
      const script = document.createElement('script');
      script.textContent = 'window.hacked = 1';
      document.body.appendChild(script);
      document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hacked=1">');
    })()""")
    page.until("document.images[0].complete")
    assert page.run("window.hacked") is None
    assert any("Content Security Policy" in line for line in page.complaints)


def test_hostile_names_are_shown_as_text(site: Site) -> None:
    page = site.signed_in()
    for view in ("decisions", "keys", "spend"):
        go(page, view)
        page.shows(HOSTILE)
        assert page.run("document.images.length") == 0
    rows = [{
        "request_id": HOSTILE, "call_type": HOSTILE, "api_key": "k", "model": HOSTILE, "model_group": HOSTILE,
        "model_id": HOSTILE, "spend": 0.1, "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2,
        "startTime": "2026-11-21T00:00:00Z", "request_duration_ms": 1, "team_id": None, "status": "success",
        "outcome": HOSTILE, "metadata": {"decision": {
            "strategy": HOSTILE, "reason": HOSTILE, "passed_over": [{"deployment": HOSTILE, "reason": HOSTILE}],
            "ranking": [{"group": HOSTILE, "score": 0.5}], "policy": {HOSTILE: HOSTILE},
        }},
    }]  # fmt: skip
    answer_with(page, "/spend/logs", rows)
    go(page, "decisions")
    page.until("document.querySelectorAll('tbody tr').length === 1")
    page.run("document.querySelector('.reason').click()")
    page.until("document.querySelector('.details')")
    assert page.text().count(HOSTILE) >= 10
    assert page.run("document.images.length") == 0
    assert page.run("window.hacked") is None


def test_a_key_that_the_gateway_does_not_know_is_refused_in_words(site: Site) -> None:
    page = site.page()
    enter(page, "sk-nobody-has-this")
    page.shows("The gateway does not accept this key.")
    assert page.run("document.querySelector('[role=alert]').id") == "why"
    assert page.run("document.querySelector('#key').getAttribute('aria-invalid')") == "true"
    assert page.run("document.querySelector('nav')") is None


def test_a_key_without_a_role_is_told_which_key_it_takes(site: Site) -> None:
    page = site.page()
    enter(page, site.keys["plain key"])
    page.shows("it takes an admin's or a viewer's key")
    assert page.run("document.querySelector('nav')") is None


def test_a_key_that_is_withdrawn_ends_the_session(site: Site) -> None:
    key = site.post("/key/generate", {"key_alias": "soon gone", "role": "viewer"})
    page = site.signed_in(key["key"])
    page.shows("ready")
    site.post("/key/delete", {"keys": [key["key"]]})
    page.shows("The gateway does not accept this key.")
    assert page.run("document.querySelector('nav')") is None


def test_a_viewer_sees_everything_and_changes_nothing(site: Site) -> None:
    viewer = site.keys["viewer"]
    page = site.signed_in(viewer)
    for view, text in (
        ("models", "small-1"),
        ("decisions", "chat frontend"),
        ("keys", "6 in all"),
        ("spend", "Research"),
    ):
        go(page, view)
        page.shows(text)
    assert {method for method, _ in page.requests} == {"GET"}
    changes = {
        "/key/generate": {}, "/key/block": {"key": site.keys["plain key"]},
        "/key/delete": {"keys": [site.keys["plain key"]]}, "/team/new": {"team_alias": "x"},
        "/model/new": {"model_name": "x", "litellm_params": {"model": "openai/x"}},
    }  # fmt: skip
    for path, body in changes.items():
        sent = {
            "method": "POST", "headers": {"authorization": f"Bearer {viewer}", "content-type": "application/json"},
            "body": json.dumps(body), "credentials": "omit",
        }  # fmt: skip
        assert page.run(f"fetch('{path}', {json.dumps(sent)}).then(answer => answer.status)") == 403, path
    # The password that opened the page opens nothing else: a foreign page could make the browser send it.
    assert page.run("fetch('/key/list').then(answer => answer.status)") == 401
    site.ask("small", "plain key")


def test_amounts_keep_every_digit(site: Site) -> None:
    page = site.signed_in(view="keys")
    page.shows("0 % of $8,999,999.25")
    # As binary fractions their sum would end in 993 or 994, with no digit behind the point.
    rows = [
        call(f"r{number}", spend)
        for number, spend in enumerate(("0.1", "0.2", "9007199254740993.000000000001"))
    ]
    answer_with(page, "/global/spend/report", {"error": {"message": "no"}}, status=404)
    answer_with(page, "/spend/logs", "[" + ",".join(rows) + "]")
    go(page, "spend")
    page.shows("$9,007,199,254,740,993.300000000001")


def test_new_calls_appear_by_themselves_until_it_is_paused(site: Site) -> None:
    page = site.signed_in(view="decisions")
    rows = "document.querySelectorAll('tbody tr').length"
    page.until(f"{rows} > 0")
    before = page.run(rows)
    site.ask("small", "plain key")
    page.until(f"{rows} > {before}")
    page.run("[...document.querySelectorAll('button')].find(item => item.innerText === 'Live').click()")
    page.shows("Paused")
    page.until("document.querySelector('[aria-pressed=true]')")
    asked = len(page.requests)
    eventually(lambda: page.run("new Promise(done => setTimeout(() => done(true), 6000))"))
    # The pause itself may read once more.
    assert len(page.requests) <= asked + 1


def test_a_gateway_that_is_away_is_said_and_what_was_known_stays(site: Site) -> None:
    page = site.signed_in(view="keys")
    page.shows("chat frontend")
    gone = {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
    page.call("Network.emulateNetworkConditions", **gone)
    page.shows("The gateway does not answer.")
    assert "Shown is what was known at" in page.text()
    assert "chat frontend" in page.text()
    page.call(
        "Network.emulateNetworkConditions",
        **{**gone, "offline": False, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    page.run("document.querySelector('.failure button').click()")
    page.until("!document.querySelector('.failure')")


def test_an_error_of_the_gateway_is_said_with_its_own_words(site: Site) -> None:
    page = site.signed_in()
    body = {"error": {"message": "the key store does not answer", "code": "key_store_unavailable"}}
    answer_with(page, "/key/list", body, status=503)
    go(page, "keys")
    page.shows("Status 503.")
    page.shows("The gateway says: the key store does not answer")


def test_a_gateway_without_rows_says_what_to_do(site: Site) -> None:
    page = site.signed_in()
    answer_with(page, "/spend/logs", [])
    answer_with(page, "/global/spend/report", {"rows": [], "reconciled": True})
    answer_with(page, "/key/list", {"keys": [], "total_count": 0, "current_page": 1, "total_pages": 0})
    answer_with(page, "/team/list", [])
    answer_with(page, "/model/info", {"data": []})
    for view, text in (
        ("decisions", "No call has been made yet."),
        ("keys", "No keys yet"),
        ("spend", "No call was made in this time."),
        ("models", "No models are configured"),
    ):
        go(page, view)
        page.shows(text)


def test_what_is_degraded_is_shown_and_what_it_means(site: Site) -> None:
    page = site.signed_in(view="models")
    state = {"status": "not ready", "egress": {"mode": "open", "refused": 3}, "degraded": ["redis"]}
    answer_with(page, "/health/readiness", state, status=503)
    go(page, "overview")
    page.shows("not ready")
    page.shows("limits and budgets hold by each worker's share")


def test_an_open_breaker_is_shown_where_an_operator_looks(site: Site) -> None:  # M5
    page = site.signed_in(view="models")
    page.shows("breaker closed")
    with contextlib.closing(Line(site.fleet.port)) as line:
        for _ in range(6):
            assert line.ask("dead", key=site.keys["plain key"]).status in {502, 503}
    page.until("document.body.innerText.includes('breaker open')")
    go(page, "overview")
    page.until("/Breakers open\\s+1/.test(document.body.innerText)")
    page.shows("nobody")


def test_a_check_of_health_asks_the_upstreams_when_told(site: Site) -> None:
    page = site.signed_in(view="models")
    assert not any(url.endswith("/health") for _, url in page.requests)
    page.run(
        "[...document.querySelectorAll('button')].find(item => item.innerText === 'Check health').click()"
    )
    page.until("/\\d healthy, \\d not, at/.test(document.querySelector('[role=status]').innerText)")


def test_a_kept_key_lasts_as_long_as_the_tab_and_is_gone_after_signing_out(site: Site) -> None:
    page = site.page()
    page.run("document.querySelector('input[type=checkbox]').click()")
    enter(page, site.keys["viewer"])
    page.until("document.querySelector('nav')")
    page.visit(f"{site.fleet.url}/ui/")
    page.until("document.querySelector('nav')")
    page.run("[...document.querySelectorAll('button')].find(item => item.innerText === 'Sign out').click()")
    page.until("document.querySelector('#key')")
    assert page.run("[localStorage.length, sessionStorage.length]") == [0, 0]
    other = site.page()
    assert other.run("document.querySelector('nav')") is None


def test_it_can_be_used_with_the_keyboard_and_heard(site: Site) -> None:
    page = site.signed_in(view="overview")
    page.run("document.activeElement.blur()")
    page.run("document.querySelector('.skip').focus()")
    page.press("Tab")
    assert page.run("document.activeElement.hash") == "#overview"
    page.press("Tab")
    page.press("Tab")
    page.press("Enter")
    page.until("document.querySelector('nav [aria-current=page]').hash === '#decisions'")
    assert page.run("document.activeElement.id") == "content"
    page.until("document.querySelector('.reason')")
    page.run("document.querySelector('.reason').focus()")
    page.press("Enter")
    page.until("document.querySelector('.reason').getAttribute('aria-expanded') === 'true'")
    page.shows("Balancing")
    for view in VIEWS:
        go(page, view)
        page.until("document.querySelector('table')")
        assert page.run("[...document.querySelectorAll('table')].every(table => table.caption.textContent)")
        assert page.run("[...document.querySelectorAll('thead th')].every(cell => cell.scope === 'col')")
        nodes = page.call("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "link", "combobox", "image", "table", "textbox", "navigation"}
        unnamed = [
            node["role"]["value"]
            for node in nodes
            if not node["ignored"]
            and node["role"]["value"] in roles
            and not node.get("name", {}).get("value")
        ]
        assert unnamed == [], view


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(360, 780), (1440, 900), (3840, 2160)])
def test_it_fits_a_telephone_and_a_wall(site: Site, width: int, height: int, dark: bool) -> None:
    page = site.signed_in()
    page.resize(width, height, dark=dark)
    for view in VIEWS:
        go(page, view)
        page.until("document.querySelector('table')")
        assert page.run("document.documentElement.scrollWidth") <= width, view
        targets = "[...document.querySelectorAll('nav a, button, select')]"
        too_small = f"{targets}.filter(item => item.offsetHeight < 20).length"
        assert page.run(too_small) == 0
        page.picture(PICTURES / f"{view}-{width}-{'dark' if dark else 'light'}.png")
    colour = page.run("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(12, 16, 23)") is dark
