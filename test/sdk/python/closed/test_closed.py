"""The Admin SDK for Python with a key file, against a closed server. run-closed.sh starts it."""

import os
import uuid

import firebase_admin
import pytest
from firebase_admin import credentials, db, exceptions

UNSET = object()


def root(key="CLOSED_KEY", override=UNSET):
    options = {"databaseURL": os.environ["CLOSED_URL"]}
    if override is not UNSET:
        options["databaseAuthVariableOverride"] = override
    cred = credentials.Certificate(os.environ[key])
    app = firebase_admin.initialize_app(cred, options, name=str(uuid.uuid4()))
    return db.reference("/", app)


def test_administrator():
    at = root().child("python/x")
    at.set({"a": 1})
    assert at.get() == {"a": 1}
    assert at.transaction(lambda v: {"a": v["a"] + 1}) == {"a": 2}


def test_override():
    mine = root(override={"uid": "monty"}).child("users/monty")
    mine.set("mine")
    assert mine.get() == "mine"
    for override in ({"uid": "monty"}, None):
        with pytest.raises(exceptions.UnauthenticatedError, match="Permission denied"):
            root(override=override).child("users/alice").set("not mine")


def test_account_of_another_project():
    with pytest.raises(exceptions.UnauthenticatedError):
        root("CLOSED_OTHER_KEY").child("python/x").set(1)
