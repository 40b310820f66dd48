"""Encryption at rest: what a resident wrote and what a register said is stored sealed, never as plain columns.

AES-256-GCM with a fresh nonce; the place (`mail.raw`) is authenticated too, so a sealed value cannot be moved to
another column unseen. Keys are rotated by putting a new one first: it seals, all of them open.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from functools import cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_ID_BYTES = 4


class VaultError(ValueError):
    """A sealed value cannot be opened: its key is missing, or it was changed or moved."""


class Vault:
    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != 32 for key in keys):
            raise VaultError("storage keys must be one or more 32-byte keys in base64, separated by commas")
        self._ciphers = {hashlib.sha256(key).digest()[:KEY_ID_BYTES]: AESGCM(key) for key in keys}
        self._newest = next(iter(self._ciphers))

    @classmethod
    def from_text(cls, text: str) -> Vault:
        try:
            return cls([base64.b64decode(part, validate=True) for part in text.replace("\n", ",").split(",") if part])
        except ValueError:
            raise VaultError("storage keys must be one or more 32-byte keys in base64, separated by commas") from None

    def seal(self, plain: bytes, place: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return self._newest + nonce + self._ciphers[self._newest].encrypt(nonce, plain, place.encode())

    def open(self, sealed: bytes, place: str) -> bytes:
        key_id, nonce, body = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES:16], sealed[16:]
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError(f"no storage key opens {place}: add the key it was sealed with")
        try:
            return cipher.decrypt(nonce, body, place.encode())
        except InvalidTag:
            raise VaultError(f"{place} was changed after it was sealed") from None


def new_key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


@cache
def vault() -> Vault:
    """The vault of this process, from the settings."""
    from django.conf import settings

    return Vault.from_text(settings.STORAGE_KEYS)
