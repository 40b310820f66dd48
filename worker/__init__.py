"""What Kommunpost knows about a mail and what happens to it next: the Django app and the Celery workers."""
