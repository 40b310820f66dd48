from __future__ import annotations

import pytest
from django.db import connection

from tests.letters import INVOICE_QUESTION
from worker.models import Mail
from worker.vault import Vault, VaultError, new_key


def vault(*keys: str) -> Vault:
    return Vault.from_text(",".join(keys))


def test_what_was_sealed_opens_again() -> None:
    one = vault(new_key())
    assert one.open(one.seal(b"Hej", "mail.raw"), "mail.raw") == b"Hej"


def test_the_same_text_is_never_sealed_alike() -> None:
    one = vault(new_key())
    assert one.seal(b"Hej", "mail.raw") != one.seal(b"Hej", "mail.raw")


def test_a_new_key_in_front_seals_and_the_old_one_still_opens() -> None:
    old, new = new_key(), new_key()
    sealed = vault(old).seal(b"Hej", "mail.raw")
    assert vault(new, old).open(sealed, "mail.raw") == b"Hej"
    with pytest.raises(VaultError, match="no storage key opens"):
        vault(old).open(vault(new, old).seal(b"Hej", "mail.raw"), "mail.raw")


def test_a_changed_or_moved_value_does_not_open() -> None:
    one = vault(new_key())
    sealed = one.seal(b"Hej", "mail.raw")
    with pytest.raises(VaultError, match="was changed"):
        one.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "mail.raw")
    with pytest.raises(VaultError, match="was changed"):
        one.open(sealed, "draft.body")


@pytest.mark.parametrize("text", ["", "short", "bm90IDMyIGJ5dGVz", ","])
def test_a_key_that_is_no_key_is_said_in_one_sentence(text: str) -> None:
    with pytest.raises(VaultError, match="32-byte keys in base64"):
        Vault.from_text(text)


def test_nothing_a_resident_wrote_stands_in_the_database_in_plain(waiting: Mail) -> None:
    """Every column of every table, searched as text and as bytes for words of the mail and values of the register."""
    secrets = ["Maj-Lis", "majlis.ekvall", INVOICE_QUESTION[6:30], "4 386", "4386.00", "118342"]
    with connection.cursor() as cursor:
        cursor.execute("select table_name from information_schema.tables where table_schema = 'public'")
        for (table,) in cursor.fetchall():
            if table.startswith(("auth_", "django_")):
                continue
            cursor.execute(f'select t::text from "{table}" t')
            rows = " ".join(row for (row,) in cursor.fetchall())
            for secret in secrets:
                assert secret not in rows, f"{secret!r} stands in {table}"
                assert secret.encode().hex() not in rows, f"{secret!r} stands in {table} as bytes"
