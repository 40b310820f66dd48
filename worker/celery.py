"""The Celery app: where tasks travel, and when the clock starts them. Tasks carry ids; rows in Postgres are the truth.

Any task may be lost, repeated or reordered without harm: what it does is claimed on the row, and `sweep` starts again
what stood still. Redelivery settings follow Celery's documentation for Redis: a task's hard time limit stays below the
visibility timeout, or a slow task would be started a second time while it still runs.
"""

from __future__ import annotations

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "worker.settings")

VISIBILITY_TIMEOUT_S = 180
TIME_LIMIT_S = 120

app = Celery("kommunpost")
app.config_from_object(
    {
        "broker_connection_retry_on_startup": True,
        "broker_transport_options": {
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            # Without these two a killed worker's tasks come back only after 100 s, whatever the timeout says.
            "unacked_restore_interval": 5,
            "unacked_restore_throttle": 1,
        },
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_time_limit": TIME_LIMIT_S,
        "task_soft_time_limit": TIME_LIMIT_S - 20,
        "task_default_queue": "kommunpost",
        "worker_prefetch_multiplier": 4,
        "worker_max_tasks_per_child": 2_000,
        "worker_send_task_events": False,
        "task_publish_retry_policy": {"max_retries": 2, "interval_start": 0.2, "interval_max": 1},
        "timezone": "UTC",
    }
)


@app.on_configure.connect
def read_settings(sender: Celery, **_: object) -> None:
    from django.conf import settings

    sender.conf.broker_url = settings.REDIS_URL
    sender.conf.beat_schedule = {
        "read the mailboxes": {"task": "worker.tasks.poll_all", "schedule": settings.POLL_S},
        "send what is due": {"task": "worker.tasks.deliver_due", "schedule": 5},
        "show staff how far their mail has come": {"task": "worker.tasks.write_back_all", "schedule": 10},
        "start again what stood still": {"task": "worker.tasks.sweep", "schedule": 30},
        "seal the event log": {"task": "worker.tasks.seal_events", "schedule": 5},
        "anchor the event log": {"task": "worker.tasks.anchor_events", "schedule": 24 * 3600},
    }


@setup_logging.connect
def log_as_the_house_does(**_: object) -> None:
    from django.conf import settings

    from worker.logs import configure

    configure(settings.LOG_LEVEL)


app.autodiscover_tasks(["worker"])
