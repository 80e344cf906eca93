"""firebase_admin.auth against the built-in user store, by the emulator's conventions."""

import hashlib
import os
import secrets
import time
import urllib.parse

import firebase_admin
import pytest
import requests
from firebase_admin import auth

PORT = os.environ.get("REBASE_PORT")
if not PORT:
    raise RuntimeError("REBASE_PORT is not set: run test/sdk/run-python.sh")
os.environ["FIREBASE_AUTH_EMULATOR_HOST"] = f"127.0.0.1:{PORT}"
SERVER = f"http://127.0.0.1:{PORT}"


class Project:
    """A project of the test's own."""

    def __init__(self):
        self.name = "py-" + secrets.token_hex(5)
        self.key = "key-" + secrets.token_hex(12)
        made = requests.post(
            f"{SERVER}/_rebase/auth/projects", json={"name": self.name, "apiKeys": [self.key]}, headers={"Authorization": "Bearer owner"}, timeout=10
        )
        assert made.status_code == 201, made.text
        self.app = firebase_admin.initialize_app(options={"projectId": self.name}, name=self.name)

    def call(self, method, body):
        """What an app does, of which there is no SDK for Python."""
        return requests.post(f"{SERVER}/identitytoolkit.googleapis.com/v1/accounts:{method}?key={self.key}", json=body, timeout=20).json()

    def sign_in(self, email, password):
        return self.call("signInWithPassword", {"email": email, "password": password}).get("idToken")


@pytest.fixture
def p():
    project = Project()
    yield project
    firebase_admin.delete_app(project.app)


def test_users(p):
    made = auth.create_user(uid="u1", email="Ann@example.com", password="secret1", display_name="Ann", phone_number="+15555550100", app=p.app)
    assert (made.uid, made.email, made.email_verified) == ("u1", "ann@example.com", False)
    assert auth.get_user_by_email("ann@example.com", app=p.app).uid == "u1"
    assert auth.get_user_by_phone_number("+15555550100", app=p.app).uid == "u1"
    assert p.sign_in("ann@example.com", "secret1")
    with pytest.raises(auth.EmailAlreadyExistsError):
        auth.create_user(email="ann@example.com", app=p.app)
    with pytest.raises(auth.UidAlreadyExistsError):
        auth.create_user(uid="u1", app=p.app)
    changed = auth.update_user("u1", display_name=auth.DELETE_ATTRIBUTE, phone_number=auth.DELETE_ATTRIBUTE, disabled=True, app=p.app)
    assert (changed.display_name, changed.phone_number, changed.disabled) == (None, None, True)
    assert p.sign_in("ann@example.com", "secret1") is None
    auth.delete_user("u1", app=p.app)
    with pytest.raises(auth.UserNotFoundError):
        auth.get_user("u1", app=p.app)


def test_tokens(p):
    auth.create_user(uid="u1", email="ann@example.com", password="secret1", app=p.app)
    auth.set_custom_user_claims("u1", {"role": "editor"}, app=p.app)
    token = p.sign_in("ann@example.com", "secret1")
    decoded = auth.verify_id_token(token, app=p.app, check_revoked=True)
    assert (decoded["uid"], decoded["role"], decoded["aud"]) == ("u1", "editor", p.name)
    auth.revoke_refresh_tokens("u1", app=p.app)
    with pytest.raises(auth.RevokedIdTokenError):
        auth.verify_id_token(token, app=p.app, check_revoked=True)
    time.sleep(1)  # this SDK allows no clock to be ahead, and a token of the same second would be
    auth.verify_id_token(p.sign_in("ann@example.com", "secret1"), app=p.app, check_revoked=True)
    custom = auth.create_custom_token("u2", {"level": 7}, app=p.app).decode()
    decoded = auth.verify_id_token(p.call("signInWithCustomToken", {"token": custom})["idToken"], app=p.app)
    assert (decoded["uid"], decoded["level"]) == ("u2", 7)


def test_import_list_delete(p):
    digest = hashlib.sha256(b"NaCl" + b"secret1").digest()
    result = auth.import_users(
        [auth.ImportUserRecord("u1", email="ann@example.com", password_hash=digest, password_salt=b"NaCl"), auth.ImportUserRecord("u2", email="ann@example.com"),
         auth.ImportUserRecord("u3", provider_data=[auth.UserProvider("g1", "google.com")])],
        hash_alg=auth.UserImportHash.sha256(rounds=1), app=p.app,
    )
    assert (result.success_count, result.failure_count, result.errors[0].index) == (2, 1, 1)
    assert p.sign_in("ann@example.com", "secret1") and p.sign_in("ann@example.com", "secret1")
    assert {u.uid for u in auth.list_users(app=p.app).iterate_all()} == {"u1", "u3"}
    found = auth.get_users([auth.UidIdentifier("u1"), auth.ProviderIdentifier("google.com", "g1"), auth.EmailIdentifier("nobody@example.com")], app=p.app)
    assert {u.uid for u in found.users} == {"u1", "u3"} and len(found.not_found) == 1
    assert auth.delete_users(["u1", "u3"], app=p.app).success_count == 2


def test_links(p):
    auth.create_user(uid="u1", email="ann@example.com", password="secret1", app=p.app)

    def code(link):
        return urllib.parse.parse_qs(urllib.parse.urlparse(link).query)["oobCode"][0]

    assert p.call("resetPassword", {"oobCode": code(auth.generate_password_reset_link("ann@example.com", app=p.app)), "newPassword": "secret2"})["email"] == "ann@example.com"
    assert p.sign_in("ann@example.com", "secret2")
    auth.update_user("u1", email_verified=False, app=p.app)
    p.call("update", {"oobCode": code(auth.generate_email_verification_link("ann@example.com", app=p.app))})
    assert auth.get_user("u1", app=p.app).email_verified
    with pytest.raises(auth.EmailNotFoundError):
        auth.generate_password_reset_link("nobody@example.com", app=p.app)
