"""The page of `onebp serve`, in a real browser: what people see, what the service gets, and that nothing else is asked."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
pytest.importorskip("onebp_jax.service.app", reason="needs the service: pip install 'onebp-jax[serving]'")
from playwright.sync_api import Error, Page, Route, expect  # noqa: E402
from support.browser import chromium  # noqa: E402

# A title of the run of these tests, and a user whom it does not know.
HOSTILE, NEW = "<img src=x onerror=alert(1)>", 987654

# How many colours the map has.
COLORS = """() => {
  const map = document.querySelector("canvas"), all = map.getContext("2d").getImageData(0, 0, map.width, map.height);
  return new Set(new Uint32Array(all.data.buffer)).size;
}"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


class Opened:
    """A page with what it asked for and what went wrong on it."""

    def __init__(self, page: Page, url: str):
        self.page, self.url, self.hosts, self.sent, self.errors = page, url, set(), [], []
        page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda line: line.type in ("error", "warning") and self.errors.append(line.text))
        page.on("requestfailed", self._failed)
        page.on("request", self._asked)
        page.goto(url)
        expect(page.locator("#state")).to_have_text(re.compile("Connected|Waiting for a token"))

    def _failed(self, request):
        if request.failure != "net::ERR_ABORTED":  # a request that a newer one made pointless
            self.errors.append(f"{request.url}: {request.failure}")

    def _asked(self, request):
        if request.url.startswith("http"):  # the icon is a data: address
            self.hosts.add(urlsplit(request.url).netloc)
        if request.method == "POST":
            self.sent.append(json.loads(request.post_data))

    def choose(self, user) -> None:
        self.page.fill("#user", str(user))
        self.page.press("#user", "Enter")
        expect(self.page.locator("#user-title")).to_have_text(f"User {user}")
        expect(self.rows.first).to_be_visible()

    @property
    def rows(self):
        return self.page.locator("#list > li")

    def titles(self) -> list[str]:
        return self.page.locator("#list .title").all_text_contents()

    def history(self) -> list[str]:
        return self.page.locator("#history li > span:nth-of-type(1)").all_text_contents()

    def text(self, name: str) -> str:
        return self.page.text_content(f"#{name}") or ""


@pytest.fixture
def open_page(browser, service):
    """Opens the page; at the end nothing may have gone wrong, and no other host may have been asked."""

    @contextmanager
    def opening(width: int = 1400, faults: bool = False, before=lambda page: None, hash: str = ""):
        context = browser.new_context(viewport={"width": width, "height": 900}, reduced_motion="reduce")
        page = context.new_page()
        page.set_default_timeout(5000)
        before(page)
        opened = Opened(page, service.url + "/" + hash)
        yield opened
        assert opened.hosts == {urlsplit(service.url).netloc}
        assert faults or not opened.errors
        context.close()

    return opening


@pytest.fixture
def user(service):
    """A user with some history."""
    return service.get("/users", n=3)["users"][-1]


def shown(items: list[dict]) -> list[str]:
    return [item["title"] or f"Item {item['item']}" for item in items]


def test_a_user_has_a_history_a_list_and_a_place(open_page, service, user):
    with open_page() as opened:
        opened.choose(user)
        history = service.get(f"/users/{user}")["history"]
        made = service.get(f"/recommend/{user}", explain=True)["items"]
        assert opened.history() == shown(history)[::-1][:8]
        assert opened.titles() == shown(made)
        assert shown(made[0]["because"])[0] in opened.rows.first.locator(".why").text_content()
        expect(opened.page.locator("#position")).to_contain_text(f"User {user} is at x")
        assert opened.page.evaluate(COLORS) > 10, "nothing is on the map"
        assert opened.page.get_attribute("a.link", "href") == "docs"


def test_likes_and_dislikes_move_the_user_without_a_reload(open_page, service, user):
    with open_page() as opened:
        opened.choose(user)
        opened.page.evaluate("window.before = true")
        seq, place, liked = int(opened.text("n-seq")), opened.text("position"), opened.titles()[1]
        opened.rows.nth(1).locator(".like").click()
        expect(opened.page.locator("#history li").first).to_contain_text(liked)
        assert liked not in opened.titles()
        assert int(opened.text("n-seq")) == seq + 1
        assert opened.text("position") != place
        assert f"Liked {liked}." in opened.text("say")
        [[event]] = opened.sent
        assert event["weight"] == 1 and event["user"] == user and event["id"]

        disliked, place = opened.titles()[0], opened.text("position")
        opened.rows.first.locator(".dislike").click()
        expect(opened.page.locator("#history li").first).to_contain_text("disliked")
        assert opened.history()[:2] == [disliked, liked] and disliked not in opened.titles()
        assert opened.text("position") != place
        assert service.get(f"/users/{user}")["history"][-1]["weight"] < 0
        assert opened.page.evaluate("window.before")


def test_a_new_user_begins_with_popular_items_and_can_be_forgotten(open_page, service):
    with open_page() as opened:
        opened.choose(NEW)
        popular = "Popular items: it is not known yet what this user likes"
        expect(opened.page.locator("#note")).to_have_text(popular)
        expect(opened.page.locator("#position")).to_have_text("The user has no position yet.")
        title = shown(service.get("/items", n=1)["items"])[0]
        opened.page.fill("#item", title)
        expect(opened.page.locator("#item-options [role=option]").first).to_contain_text(title)
        opened.page.press("#item", "Enter")
        expect(opened.page.locator("#history li").first).to_contain_text(title)
        expect(opened.page.locator("#note")).to_be_hidden()
        expect(opened.page.locator("#position")).to_contain_text("is at x")

        opened.page.click("#forget")
        opened.page.press("#keep", "Escape")
        assert service.get(f"/users/{NEW}")["known"]
        opened.page.click("#forget")
        opened.page.click("#drop")
        expect(opened.page.locator("#note")).to_have_text(popular)
        assert not service.get(f"/users/{NEW}")["known"]


def test_text_of_the_service_is_text(open_page):
    with open_page(faults=True) as opened:
        opened.choose(NEW)
        opened.page.fill("#item", "onerror")
        expect(opened.page.locator("#item-options [role=option]").first).to_contain_text(HOSTILE)
        opened.page.press("#item", "Enter")
        expect(opened.page.locator("#history li").first).to_contain_text(HOSTILE)
        assert HOSTILE in opened.text("say")
        assert HOSTILE in (opened.rows.first.locator(".why").text_content() or "")
        opened.page.fill("#user", HOSTILE)
        opened.page.press("#user", "Enter")
        expect(opened.page.locator("#user-options")).to_contain_text("No user has this id, and no new one can have it")
        expect(opened.page.locator("#user-title")).to_have_text(f"User {NEW}")
        opened.page.evaluate("id => location.hash = '#user=' + encodeURIComponent(id)", HOSTILE)
        expect(opened.page.locator("#note")).to_contain_text(f"The list of user {HOSTILE} did not arrive: user=")
        assert opened.page.locator("img").count() == 0
        assert all("422" in error for error in opened.errors), "the id was refused, and nothing else happened"


def test_keys_do_all(open_page, service, user):
    with open_page() as opened:
        page = opened.page
        has = lambda selector: page.evaluate("(what) => document.activeElement.matches(what)", selector)

        def tab_to(selector: str) -> None:
            for _ in range(40):
                page.keyboard.press("Tab")
                if has(selector):
                    return
            raise AssertionError(f"Tab does not reach {selector}")

        tab_to("#user")
        page.keyboard.type(str(user))
        expect(page.locator("#user-options [role=option]").first).to_have_text(str(user))
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        expect(opened.rows.first).to_be_visible()
        for selector in ("#item", "#forget", "#zoom", "#map"):
            tab_to(selector)
        page.keyboard.press("ArrowRight")
        expect(page.locator("#spot")).to_have_text(f"{opened.titles()[0]}, recommended, rank 1")
        tab_to("#list > li")
        page.keyboard.press("ArrowDown")
        liked, disliked = opened.titles()[1:3]
        page.keyboard.press("l")
        expect(page.locator("#history li").first).to_contain_text(liked)
        assert has("#list > li:nth-child(2)"), "the focus stays at its place in the list"
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        disliked = opened.titles()[1]
        page.keyboard.press("d")
        expect(page.locator("#history li").first).to_contain_text("disliked")
        assert opened.history()[:2] == [disliked, liked]


def test_no_width_needs_a_horizontal_scroll(open_page):
    with open_page(width=360) as opened:
        opened.choose(NEW)
        opened.page.fill("#item", "onerror")
        opened.page.press("#item", "Enter")
        expect(opened.page.locator("#history li").first).to_contain_text(HOSTILE)
        for width in (360, 900, 1400):
            opened.page.set_viewport_size({"width": width, "height": 900})
            opened.rows.last.focus()
            assert opened.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_late_answer_is_not_shown(open_page, service):
    late, now = service.get("/users", n=2)["users"]
    held: list[Route] = []
    hold = lambda page: page.route(f"**/recommend/{late}?*", lambda route: held.append(route))
    with open_page(before=hold, hash=f"#user={late}") as opened:
        opened.choose(now)
        titles = opened.titles()
        assert held
        for route in held:
            try:
                route.continue_()
            except Error:  # the page gave it up already
                continue
        opened.page.wait_for_timeout(200)
        assert opened.text("user-title") == f"User {now}" and opened.titles() == titles


def test_a_lost_connection_is_said_and_a_retry_is_the_same_event(open_page, service, user):
    with open_page(faults=True) as opened:
        opened.choose(user)
        liked = opened.titles()[0]
        for path in ("**/events", "**/status"):
            opened.page.route(path, lambda route: route.abort())
        opened.rows.first.locator(".like").click()
        expect(opened.page.locator("#state")).to_have_text("No connection")
        expect(opened.page.locator("#say")).to_contain_text(f"Not saved: no connection. Like {liked} again to retry.")
        assert opened.titles()[0] == liked
        opened.page.unroute_all()
        opened.rows.first.locator(".like").click()
        expect(opened.page.locator("#history li").first).to_contain_text(liked)
        [first], [second] = opened.sent
        assert first == second
        expect(opened.page.locator("#state")).to_have_text("Connected")


def test_a_token_is_asked_for_and_stays_in_the_tab(open_page, user):
    def guard(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer secret":
            route.continue_()
        else:
            route.fulfill(status=401, json={"detail": "a token is needed"})

    paths = re.compile("/(status|users|items|map|recommend|events)")
    with open_page(faults=True, before=lambda page: page.route(paths, guard)) as opened:
        expect(opened.page.locator("#token")).to_be_focused()
        opened.page.keyboard.type("secret")
        opened.page.keyboard.press("Enter")
        expect(opened.page.locator("#lock")).to_be_hidden()
        opened.choose(user)
        assert opened.page.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 1, ""]
