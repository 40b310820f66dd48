"""What staff see of a mail in their own mailbox, and how long a mailbox's server asked to be left alone."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("worker", "0002_what_the_database_guards")]

    operations = [
        migrations.AddField(
            model_name="mail",
            name="from_directory",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="read_again_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="write_back_again_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="write_back_fault",
            field=models.CharField(blank=True, max_length=500),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="heavy_id",
            field=models.CharField(blank=True, max_length=2_000),
        ),
        migrations.AddField(
            model_name="mailbox",
            name="heavy_attempts",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="mail",
            name="remote_id",
            field=models.CharField(max_length=2_000),
        ),
        migrations.AddField(
            model_name="outgoing",
            name="unclear",
            field=models.PositiveSmallIntegerField(default=0),
        ),
        migrations.AlterField(
            model_name="mailbox",
            name="mode",
            field=models.CharField(
                choices=[
                    ("read_only", "in read-only mode: drafts are made, nothing is written to the mailbox or leaves"),
                    ("shadow", "in shadow mode: drafts are made, nothing leaves"),
                    ("sends", "sending: approved replies leave"),
                ],
                default="shadow",
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="WriteBack",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.CharField(blank=True, max_length=16)),
                ("draft", models.JSONField(null=True)),
                ("draft_version", models.PositiveIntegerField(default=0)),
                ("left_to_staff", models.BooleanField(default=False)),
                ("staff_replies", models.JSONField(default=list)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("fault", models.CharField(blank=True, max_length=500)),
                ("again_at", models.DateTimeField(null=True)),
                (
                    "mail",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="write_back", to="worker.mail"
                    ),
                ),
            ],
        ),
    ]
