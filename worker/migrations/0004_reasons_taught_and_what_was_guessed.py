"""Reasons that reviewers add or take away, and what the model said before anybody corrected it."""

from django.db import migrations, models

FROM_THE_EVENTS = """
update worker_mail set
    guessed_intent = coalesce(said.payload ->> 'intent', ''),
    guessed_abstained = coalesce((said.payload ->> 'abstained')::boolean, false)
from (
    select distinct on (object) object, payload from worker_event
    where action = 'mail understood' order by object, id desc
) as said
where said.object = 'mail:' || worker_mail.id
"""


class Migration(migrations.Migration):
    dependencies = [("worker", "0003_mailboxes_of_staff")]

    operations = [
        migrations.AlterField(
            model_name="correction",
            name="field",
            field=models.CharField(
                choices=[("intent", "intent"), ("language", "language"), ("reason", "reason")], max_length=16
            ),
        ),
        migrations.AlterField(
            model_name="correction",
            name="before",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AlterField(
            model_name="correction",
            name="after",
            field=models.CharField(blank=True, max_length=64),
        ),
        migrations.AddField(
            model_name="mail",
            name="guessed_intent",
            field=models.CharField(blank=True, db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="mail",
            name="guessed_abstained",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunSQL(FROM_THE_EVENTS, migrations.RunSQL.noop),
    ]
