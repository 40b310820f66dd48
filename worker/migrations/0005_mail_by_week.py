"""An index for the weeks of a mailbox, made while mail goes on being taken in."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("worker", "0004_reasons_taught_and_what_was_guessed")]

    operations = [
        AddIndexConcurrently(
            "mail",
            models.Index(
                fields=["mailbox", "received_at"],
                include=["id", "guessed_intent", "guessed_abstained", "confidence", "state", "queue", "reasons"],
                name="mail_by_week",
            ),
        ),
    ]
