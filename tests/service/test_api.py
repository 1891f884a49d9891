"""The API, over HTTP as people use it."""

from __future__ import annotations

import numpy as np
import pytest
from service.conftest import HOSTILE, ITEMS, USERS, history_of, running

from onebp_jax import Recommender
from onebp_jax.service.guards import Limits

POPULAR = "popular"


def ids(answer: dict) -> list:
    return [one["item"] for one in answer["items"]]


def test_the_next_list_sees_an_event(service):
    assert service.get("/recommend/7")["source"] == POPULAR
    assert service.get("/users/7") == {"user": 7, "known": False, "history": [], "position": None, "seq": 0}
    for number, item in enumerate(["i3", "i4", "i5"], 1):
        answer = service.post("/events", [{"user": 7, "item": item}])
        assert {**answer, "took_ms": 0} == {
            "accepted": 1, "duplicates": 0, "known": 0, "unknown_items": 0, "seq": number, "took_ms": 0,
        }  # fmt: skip
        made = service.get("/recommend/7", n=ITEMS)
        assert made["source"] == "user" and made["seq"] == number and item not in ids(made)
        assert len(ids(made)) == ITEMS - number
    user = service.get("/users/7")
    assert [one["item"] for one in user["history"]] == ["i3", "i4", "i5"] and user["known"]
    assert user["history"][0] == {"item": "i3", "title": "Title 3", "group": "Drama", "weight": 1.0, "time": None}
    assert len(user["position"]) == 2


def test_lists_are_those_of_the_library(service, run_folder):
    model = Recommender.load(run_folder)
    for user in (100, 117, 139):
        expected = model.recommend(user, k=12)
        found = service.get(f"/recommend/{user}", n=12)
        # The run's own vectors went through training, those of the service are sums of the same events.
        np.testing.assert_allclose([one["score"] for one in found["items"]], expected.score, rtol=1e-4)
        assert ids(found) == expected.item.tolist()
    for item in history_of(3)[:4]:
        model.observe(3, item)
        service.post("/events", [{"user": "3", "item": item}])
    expected, found = model.recommend(3, k=12), service.get("/recommend/3", n=8, offset=4, explain=True)
    assert ids(found) == expected.item.tolist()[4:]
    np.testing.assert_allclose([one["score"] for one in found["items"]], expected.score[4:], rtol=1e-5)
    reasons = model.explain(3, ids(found)[0], k=10).query("score > 0")
    because = found["items"][0]["because"]
    assert [one["item"] for one in because] == reasons.item.tolist()[:3]
    np.testing.assert_allclose([one["share"] for one in because], (reasons.score / reasons.score.sum())[:3], rtol=1e-4)
    session = model.recommend_for(["i1", "i2"], negative=["i9"], weights=[1, 2], k=5, items=["i3", "i4", "i20"])
    body = {"positive": ["i1", "i2"], "negative": ["i9"], "weights": [1, 2], "candidates": ["i20", "i3", "i4"], "n": 5}
    assert ids(service.post("/recommend", body)) == session.item.tolist()
    similar = service.get("/similar/i5", n=4)
    assert ids(similar) == model.similar_items("i5", k=4).similar.tolist()


def test_an_id_counts_once(service):
    event = {"user": 1, "item": "i1", "id": "a", "weight": 2.0}
    answer = service.post("/events", [event, event, {"user": 1, "item": "i2"}])
    assert (answer["accepted"], answer["duplicates"], answer["seq"]) == (2, 1, 2)
    answer = service.post("/events", [event, {"user": 1, "item": "i2"}, {"user": 1, "item": "new item"}])
    assert (answer["accepted"], answer["duplicates"], answer["known"], answer["unknown_items"]) == (2, 1, 1, 1)
    other = service.client.post("/events", json=[{"user": 1, "item": "i5"}, {**event, "item": "i3"}])
    assert other.status_code == 409 and "id='a' is that of another event" in other.json()["detail"]
    assert [one["item"] for one in service.get("/users/1")["history"]] == ["i1", "i2"]  # all or none
    assert service.post("/events", [])["accepted"] == 0


def test_dislikes_and_late_events(service):
    service.post("/events", [{"user": 1, "item": f"i{n}", "time": 10 - n} for n in (1, 2, 3)])
    assert [one["item"] for one in service.get("/users/1")["history"]] == ["i3", "i2", "i1"]
    before = service.get("/recommend/1", exclude="none", n=ITEMS)
    service.post("/events", [{"user": 1, "item": "i1", "weight": -1, "type": "dislike"}])
    after = service.get("/recommend/1", exclude="none", n=ITEMS)
    place = lambda made: ids(made).index("i1")
    assert place(after) > place(before) and "i1" not in ids(service.get("/recommend/1", n=ITEMS))
    assert service.get("/users/1")["history"][-1]["weight"] == -1
    reasons = [one for item in service.get("/recommend/1", n=ITEMS, explain=True)["items"] for one in item["because"]]
    assert {one["item"] for one in reasons} == {"i2", "i3"}  # never the one that is disliked


def test_who_dislikes_only_gets_popular_items(service):
    """A dislike says what to leave out, not what to show."""
    popular = [one["item"] for one in service.get("/recommend/999", n=ITEMS)["items"]]
    service.post("/events", [{"user": 1, "item": popular[0], "weight": -1}])
    for made in (
        service.get("/recommend/1", n=ITEMS),
        service.post("/recommend", {"positive": [], "negative": popular[:1], "n": ITEMS}),
    ):
        assert (made["source"], ids(made)) == (POPULAR, popular[1:])


def test_forget_and_merge(run_folder, log):
    with running(log, run_folder) as service:
        service.post("/events", [{"user": 7, "item": item} for item in ("i3", "i4")])
        service.post("/events", [{"user": 8, "item": item} for item in ("i4", "i5")])
        assert service.post("/users/merge", {"from": 7, "into": 8}) == {"from": 7, "into": 8, "moved": 1, "seq": 7}
        assert [one["item"] for one in service.get("/users/8")["history"]] == ["i4", "i5", "i3"]
        assert not service.get("/users/7")["known"]
        assert service.client.delete("/users/8").json() == {"user": 8, "forgotten": True, "seq": 8}
        assert service.client.delete("/users/8").json() == {"user": 8, "forgotten": False, "seq": 9}
        assert service.client.delete("/users/100").json()["forgotten"]  # of training
        assert service.get("/recommend/100")["source"] == POPULAR
    with open(log.removeprefix("sqlite:///"), "rb") as file:
        assert b"i5" not in file.read()


def test_items_of_a_test_part_are_merged_too(service):
    live = service.replica.model.live
    own = live.history(1)
    own.others = [row for row in range(ITEMS) if row not in own.have][:2]
    live.restore([], {1: own})
    moved = service.post("/users/merge", {"from": 101, "into": 9})["moved"]
    assert moved == 12 and live.snapshot(live.new_rows["9"]).items == own.items + own.others


def test_items_and_users_are_found(service):
    assert service.get("/items/i0")["title"] == HOSTILE
    found = service.get("/items", search="title 1", n=3)
    assert found["total"] == 11 and len(found["items"]) == 3 and found["items"][0]["group"]
    popularity = [one["popularity"] for one in service.get("/items", n=ITEMS)["items"]]
    assert popularity == sorted(popularity, reverse=True) and sum(popularity) > 0
    service.post("/events", [{"user": 13, "item": "i1"}])
    assert service.get("/users", search="13") == {"users": [*range(130, 140), 13], "total": 11, "new": None}
    assert service.get("/users", search="14") == {"users": [], "total": 0, "new": 14}
    assert service.get("/users", search="ann")["new"] is None  # ids of the run are integers
    shown = service.get("/map", n=10)
    assert len(shown["items"]) == 10 and shown["total"] == ITEMS
    assert set(shown["groups"]) == {"Drama", "Comedy", "Science fiction"}


def test_what_operations_ask(service):
    assert service.get("/health/live") == service.get("/health/ready") == {"status": "ok"}
    service.post("/events", [{"user": 1, "item": "i1"}])
    status = service.get("/status")
    assert (status["users"], status["items"], status["seq"], status["live_users"]) == (USERS, ITEMS, 1, 1)
    assert status["events_per_second"] > 0 and status["latency_ms"]["p50"] > 0
    metrics = service.client.get("/metrics").text
    assert 'onebp_events_total{became="changed"} 1.0' in metrics and "onebp_seq 1.0" in metrics
    assert 'route="/events",status="200"' in metrics
    described = service.get("/openapi.json")
    assert described["openapi"].startswith("3.1") and "503" in described["paths"]["/events"]["post"]["responses"]
    docs = service.client.get("/docs").text
    assert "//" not in docs.replace("<!--", "").replace("// ", "")  # nothing from the network
    assert service.client.get("/static/swagger-ui-bundle.js").status_code == 200
    assert service.post("/reload", None)["items"] == ITEMS
    assert service.get("/users/1")["history"]


REFUSED = {
    "unknown item": (("GET", "/similar/nix"), 404, "item 'nix': not an item of the run"),
    "no user": (("GET", "/recommend/abc"), 422, "user='abc': expected an integer"),
    "no route": (("GET", "/nowhere"), 404, "Not Found"),
    "no method": (("PUT", "/events"), 405, "Method Not Allowed"),
    "long list": (("GET", "/recommend/1?n=1001"), 422, "n: Input should be less than or equal to 1000"),
    "query": (("GET", "/recommend/1?k=5"), 422, "k: not a parameter, expected one of n, offset, exclude, explain"),
    "query twice": (("GET", "/recommend/1?n=5&n=6"), 422, "n='6': n is given twice"),
    "query of none": (("DELETE", "/users/1?sure=yes"), 422, "sure: not a parameter, expected none"),
    "exclude": (("GET", "/recommend/1?exclude=some"), 422, "exclude: Input should be 'all' or 'none'"),
    "no JSON": (("POST", "/events", "["), 422, "JSON decode error"),
    "no list": (("POST", "/events", '{"user": 1}'), 422, "Input should be a valid list"),
    "no item": (("POST", "/events", '[{"user": 1}]'), 422, "0.item: Field required"),
    "user of the run's kind": (("POST", "/events", '[{"user": "ann", "item": "i1"}]'), 422, "user='ann': expected an int"),
    "weight 0": (("POST", "/events", '[{"user": 1, "item": "i1", "weight": 0}]'), 422, "0.weight: 0, expected"),
    "weight": (("POST", "/events", '[{"user": 1, "item": "i1", "weight": NaN}]'), 422, "0.weight: Input should be"),
    "time": (("POST", "/events", '[{"user": 1, "item": "i1", "time": 1e999}]'), 422, "0.time: Input should be"),
    "bool": (("POST", "/events", '[{"user": true, "item": "i1"}]'), 422, "0.user"),
    "zero byte": (("POST", "/events", '[{"user": 1, "item": "i\\u0000"}]'), 422, "0.item"),
    "surrogate": (("POST", "/events", '[{"user": 1, "item": "\\ud800"}]'), 422, "0.item"),
    "field": (("POST", "/events", '[{"user": 1, "item": "i1", "rating": 3}]'), 422, "0.rating: Extra inputs"),
    "many": (("POST", "/events", "[" + '{"user":1,"item":"i1"},' * 1000 + '{"user":1,"item":"i1"}]'), 422, "at most 1000"),
    "weights": (("POST", "/recommend", '{"positive": ["i1"], "weights": [1, 2]}'), 422, "weights: 2 for 1 items"),
    "twice": (("POST", "/recommend", '{"positive": ["i1", "i1"]}'), 422, "positive, negative: an item is given twice"),
    "session item": (("POST", "/recommend", '{"positive": ["nix"]}'), 422, "item 'nix': not an item of the run"),
    "itself": (("POST", "/users/merge", '{"from": 1, "into": 1}'), 422, "from and into are the same user"),
    "digits of another script": (("POST", "/events", '[{"user": "1\\u0662", "item": "i1"}]'), 422, "user='1٢': expected an int"),
    "large user": (("POST", "/events", '[{"user": "9223372036854775808", "item": "i1"}]'), 422, "expected an integer"),
    "name with a break": (("POST", "/events", '[{"user": 1, "item": "i1", "a\\nb": 1}]'), 422, "0.a\\nb: Extra inputs"),
    "no UTF-8": (("DELETE", "/users/%ff"), 400, "the path is not UTF-8"),
    "zero byte in a path": (("DELETE", "/users/1%00"), 422, "user: String should match pattern"),
    "long path": (("DELETE", "/users/" + "1" * 201), 422, "user: String should have at most 200 characters"),
    "no path": (("DELETE", "/users/"), 422, "user: String should have at least 1 character"),
    "deep": (("POST", "/events", "[" * 100_000), 400, "error parsing the body"),
}  # fmt: skip


@pytest.mark.parametrize("request_, status, words", REFUSED.values(), ids=REFUSED)
def test_bad_requests_get_one_line(shared, request_, status, words):
    method, path, *body = request_
    headers = {"content-type": "application/json"}
    answer = shared.client.request(method, path, content=body[0] if body else None, headers=headers)
    assert answer.status_code == status and words in answer.json()["detail"]
    assert "\n" not in answer.json()["detail"] and len(answer.text) < 1000 and shared.replica.model.seq == 0


def test_other_methods_are_named(shared):
    answers = {
        path: shared.client.put(path) for path in ("/users/1", "/events", "/recommend", "/map", "/static/favicon.png")
    }
    assert {answer.status_code for answer in answers.values()} == {405}
    allowed = [answer.headers["allow"] for answer in answers.values()]
    assert allowed == ["DELETE, GET", "POST", "POST", "GET", "GET, HEAD"]


def test_large_ids(service):
    largest = 2**63 - 1
    assert service.post("/events", [{"user": largest, "item": "i3"}])["accepted"] == 1
    assert service.get(f"/users/{largest}")["known"] and service.get("/users", search="922")["users"] == [largest]


GUARDED = {
    "no token": ({}, {}, 401),
    "wrong token": ({"authorization": "Bearer wrong"}, {}, 401),
    "token": ({"authorization": "Bearer secret"}, {}, 200),
    "key": ({"x-api-key": "secret"}, {}, 200),
    "host in capitals": ({"x-api-key": "secret", "host": "LOCALHOST:1"}, {}, 200),
    "page of another site": ({"x-api-key": "secret", "origin": "http://evil.example"}, {}, 400),
    "own page": ({"x-api-key": "secret", "origin": "http://127.0.0.1:1"}, {}, 200),
    "host": ({"x-api-key": "secret", "host": "evil.example"}, {}, 400),
    "large": ({"x-api-key": "secret", "content-type": "application/json"}, {"content": b"[" * 3000}, 413),
    "endless": ({"x-api-key": "secret"}, {"content": iter([b"[" * 1000] * 4)}, 413),
    "kind": ({"x-api-key": "secret", "content-type": "text/plain"}, {"content": "[]"}, 415),
}


@pytest.mark.parametrize("headers, body, status", GUARDED.values(), ids=GUARDED)
def test_guards(guarded, headers, body, status):
    method = "POST" if body else "GET"
    path = "/events" if body else "/status"
    answer = guarded.client.request(method, path, headers=headers, **body)
    assert answer.status_code == status, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert guarded.client.get("/health/live").status_code == 200  # it goes on


@pytest.fixture(scope="module")
def shared(run_folder, tmp_path_factory):
    """A service that nothing changes."""
    with running(f"sqlite:///{tmp_path_factory.mktemp('log')}/events.db", run_folder) as service:
        yield service


@pytest.fixture(scope="module")
def guarded(run_folder, tmp_path_factory):
    limits = Limits("secret", frozenset({"127.0.0.1", "localhost"}), max_body=2000)
    with running(f"sqlite:///{tmp_path_factory.mktemp('log')}/events.db", run_folder, limits) as service:
        yield service


def test_the_page_needs_no_token_and_the_description_says_how(guarded):
    assert guarded.client.get("/").status_code == 200
    assert guarded.get("/openapi.json")["components"]["securitySchemes"]["key"]["name"] == "X-API-Key"


def test_a_client_has_a_rate(run_folder, log):
    with running(log, run_folder, Limits(rate=5)) as service:
        statuses = [service.client.get("/status").status_code for _ in range(30)]
        assert service.client.get("/health/live").status_code == 200
    assert statuses[:10] == [200] * 10 and statuses[-1] == 429
