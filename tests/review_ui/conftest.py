"""The people who ask for a page: one who works with the mailbox, one who works with another, and a stranger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests import factories
from worker.models import Mail, Mailbox

As = Callable[[User | None], Client]


@pytest.fixture
def kundcenter(db: None) -> Mailbox:
    return factories.mailbox("kundcenter")


@pytest.fixture
def alice(kundcenter: Mailbox) -> User:
    """A reviewer of the mailbox that the mail came to."""
    person = factories.person("alice", "reviewer", full_name="Alice Forsgård")
    kundcenter.people.add(person)
    return person


@pytest.fixture
def bob(db: None) -> User:
    """A reviewer of another mailbox."""
    person = factories.person("bob", "reviewer", full_name="Bob Rinne")
    factories.mailbox("bygg", person)
    return person


@pytest.fixture
def charlie(kundcenter: Mailbox) -> User:
    """A senior reviewer of the mailbox."""
    person = factories.person("charlie", "senior", full_name="Charlie Hove")
    kundcenter.people.add(person)
    return person


@pytest.fixture
def as_person() -> As:
    def client_of(person: User | None) -> Client:
        client = Client()
        if person is not None:
            client.force_login(person, backend="django.contrib.auth.backends.ModelBackend")
        return client

    return client_of


@pytest.fixture
def waiting(kundcenter: Mailbox) -> Mail:
    """A question about an invoice, drafted and waiting for review."""
    return factories.mail(kundcenter)
