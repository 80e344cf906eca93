"""The unmodified Firebase Admin SDK for Python against a Rebase server."""

import os
import queue
import secrets
import threading
import time

import firebase_admin
import pytest
import requests
from firebase_admin import db, exceptions

PORT = os.environ.get("REBASE_PORT")
if not PORT:
    raise RuntimeError("REBASE_PORT is not set: run test/sdk/run-python.sh")
os.environ["FIREBASE_DATABASE_EMULATOR_HOST"] = f"127.0.0.1:{PORT}"


class Open:
    """A database of the test's own."""

    def __init__(self):
        self.ns = "py-" + secrets.token_hex(5)
        self.app = firebase_admin.initialize_app(
            options={"databaseURL": f"https://{self.ns}.firebaseio.com", "projectId": "test"}, name=self.ns
        )

    def ref(self, path="/"):
        return db.reference(path, app=self.app)

    def rules(self, rules):
        put = requests.put(
            f"http://127.0.0.1:{PORT}/.settings/rules.json?ns={self.ns}",
            json={"rules": rules},
            headers={"Authorization": "Bearer owner"},
            timeout=10,
        )
        assert put.status_code == 200, put.text


@pytest.fixture
def base():
    opened = Open()
    yield opened
    firebase_admin.delete_app(opened.app)


def until(probe, what, seconds=20):
    deadline = time.monotonic() + seconds
    while True:
        got = probe()
        if got:
            return got
        assert time.monotonic() < deadline, f"gave up waiting for {what}"
        time.sleep(0.01)


def indexed(query):
    """An index may still be in the making right after its rules arrived."""

    def probe():
        try:
            return [query.get()]
        except exceptions.InvalidArgumentError as err:
            if "indexOn" not in str(err):
                raise
            return None

    return until(probe, "the index")[0]


def test_set_get_delete(base):
    value = {"text": "ü😀", "n": 1.5, "yes": True, "deep": {"er": "x"}, "list": ["p", "q"], "big": 2**63 - 1}
    base.ref("a/b").set(value)
    assert base.ref("a/b").get() == value
    assert base.ref("a/b/deep/er").get() == "x"
    base.ref("a/b/list").delete()
    assert "list" not in base.ref("a/b").get()
    assert base.ref("nothing/here").get() is None
    base.ref().delete()
    assert base.ref().get() is None


def test_shallow(base):
    base.ref("s").set({"a": {"deep": 1}, "b": 2})
    assert base.ref("s").get(shallow=True) == {"a": True, "b": True}


def test_update(base):
    base.ref("u").set({"a": 1, "b": {"c": 2, "d": 3}})
    base.ref("u").update({"a": None, "b/c": 20, "n/e/w": True})
    assert base.ref("u").get() == {"b": {"c": 20, "d": 3}, "n": {"e": {"w": True}}}
    with pytest.raises(exceptions.InvalidArgumentError):
        base.ref("u").update({"b": 1, "b/c": 2})


def test_push(base):
    keys = [base.ref("l").push(i).key for i in range(20)]
    assert keys == sorted(keys) and len(set(keys)) == 20
    assert list(base.ref("l").order_by_key().get().items()) == list(zip(keys, range(20)))
    later = base.ref("l").push()
    assert base.ref("l").child(later.key).get() == ""


def test_server_values(base):
    base.ref("n").set(5)
    base.ref("n").set({".sv": {"increment": 3}})
    assert base.ref("n").get() == 8
    base.ref("at").set({".sv": "timestamp"})
    assert abs(base.ref("at").get() / 1000 - time.time()) < 60


def test_etag(base):
    ref = base.ref("e")
    assert ref.get(etag=True) == (None, "null_etag")
    ref.set("one")
    value, etag = ref.get(etag=True)
    assert value == "one"
    assert ref.get_if_changed(etag) == (False, None, None)
    ref.set("two")
    changed, value, latest = ref.get_if_changed(etag)
    assert changed and value == "two" and latest != etag
    assert ref.set_if_unchanged(etag, "three") == (False, "two", latest)
    done, value, newest = ref.set_if_unchanged(latest, "three")
    assert done and value == "three" and newest not in (etag, latest)
    assert ref.get(etag=True) == ("three", newest)


def test_transaction_under_contention(base):
    ref = base.ref("n")
    errors = []

    def work():
        for _ in range(10):
            while True:
                try:
                    ref.transaction(lambda n: (n or 0) + 1)
                    break
                except db.TransactionAbortedError:
                    continue
                except Exception as err:  # reported by the main thread
                    errors.append(err)
                    return

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert ref.get() == 80


def test_transaction_abort(base):
    base.ref("x").set({"keep": 1})

    def refuse(_):
        raise ValueError("no")

    with pytest.raises(ValueError):
        base.ref("x").transaction(refuse)
    assert base.ref("x").get() == {"keep": 1}


def test_queries(base):
    base.rules({".read": True, ".write": True, "q": {".indexOn": ["n", "d/x"]}, "v": {".indexOn": ".value"}})
    base.ref("q").set(
        {
            "a": {"n": 3, "d": {"x": "p"}},
            "b": {"n": 1, "d": {"x": "q"}},
            "c": {"n": 2},
            "e": {"n": "text"},
            "12": {"n": True},
            "z": {"other": 1},
        }
    )
    base.ref("v").set({"a": 3, "b": "text", "c": 1, "d": False, "9": 1})
    ref = base.ref("q")
    cases = [
        (ref.order_by_key(), ["12", "a", "b", "c", "e", "z"]),
        (ref.order_by_key().start_at("b").end_at("e"), ["b", "c", "e"]),
        (ref.order_by_key().limit_to_last(2), ["e", "z"]),
        (ref.order_by_key().equal_to("c"), ["c"]),
        (ref.order_by_child("n"), ["z", "12", "b", "c", "a", "e"]),
        (ref.order_by_child("n").start_at(2), ["c", "a", "e"]),
        (ref.order_by_child("n").end_at(2), ["z", "12", "b", "c"]),
        (ref.order_by_child("n").start_at(1).end_at(3).limit_to_last(2), ["c", "a"]),
        (ref.order_by_child("n").equal_to("text"), ["e"]),
        (ref.order_by_child("d/x").start_at("p"), ["a", "b"]),
        (base.ref("v").order_by_value().limit_to_last(2), ["a", "b"]),
        (base.ref("v").order_by_value().start_at(1).end_at(1), ["9", "c"]),
    ]
    for query, keys in cases:
        assert list(indexed(query)) == keys, (query._querystr, keys)


# The SDK's reader thread dies noisily when its stream is closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_listen(base):
    base.ref("l").set({"a": 1})
    events = queue.Queue()
    stream = base.ref("l").listen(events.put)
    try:

        def heard():
            event = events.get(timeout=20)
            return event.event_type, event.path, event.data

        assert heard() == ("put", "/", {"a": 1})
        base.ref("l/b/c").set(2)
        assert heard() == ("put", "/b/c", 2)
        base.ref("l").update({"a": 10, "b": None})
        assert heard() == ("patch", "/", {"a": 10, "b": None})
        base.ref("l/a").delete()
        kind, path, data = heard()
        assert (kind, data) == ("put", None) and path in ("/", "/a")
        base.ref("elsewhere").set(1)
        base.ref().set({"l": {"z": [1, 2]}, "other": 1})
        assert heard() == ("put", "/", {"z": [1, 2]})
    finally:
        stream.close()


def test_errors_carry_their_reason(base):
    with pytest.raises(exceptions.InvalidArgumentError) as caught:
        base.ref("x").set({"bad.key": 1})
    assert "Invalid data" in str(caught.value)


def test_large_value(base):
    text = "aü€😀" * 500_000
    base.ref("x").set(text)
    assert base.ref("x").get() == text
