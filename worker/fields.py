"""Model fields whose content is sealed in the database and plain in Python."""

from __future__ import annotations

import json
from typing import Any

from django.db import models

from worker.vault import vault


class SealedBytes(models.BinaryField):  # type: ignore[type-arg]
    """Bytes, sealed. Cannot be searched or sorted by, on purpose."""

    @property
    def place(self) -> str:
        return f"{self.model._meta.model_name}.{self.name}"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        sealed = None if value is None else vault().seal(self.to_bytes(value), self.place)
        return super().get_db_prep_value(sealed, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return None if value is None else self.to_python_value(vault().open(bytes(value), self.place))

    def to_bytes(self, value: Any) -> bytes:
        return bytes(value)

    def to_python_value(self, plain: bytes) -> Any:
        return plain


class SealedText(SealedBytes):
    def to_bytes(self, value: Any) -> bytes:
        return str(value).encode("utf-8", "surrogatepass")

    def to_python_value(self, plain: bytes) -> Any:
        return plain.decode("utf-8", "surrogatepass")


class SealedJson(SealedBytes):
    def to_bytes(self, value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")

    def to_python_value(self, plain: bytes) -> Any:
        return json.loads(plain.decode("utf-8", "surrogatepass"))
