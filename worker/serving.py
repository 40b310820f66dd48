"""Runs the review screen under gunicorn."""

from __future__ import annotations

from typing import Any

from gunicorn.app.base import BaseApplication


class Site(BaseApplication):  # type: ignore[misc]
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self.options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        from django.core.wsgi import get_wsgi_application

        return get_wsgi_application()


def serve(host: str, port: int, workers: int) -> None:
    """Blocks until SIGTERM or Ctrl-C."""
    Site(
        {
            "bind": f"{host}:{port}",
            "workers": workers,
            "worker_class": "gthread",
            "threads": 4,
            "timeout": 60,
            "graceful_timeout": 10,
            "worker_tmp_dir": "/dev/shm",  # noqa: S108 - memory, so that a slow disk never looks like a hung worker
            "accesslog": None,
            "loglevel": "warning",
            "preload_app": True,
            # Request lines hold search words; an access log belongs to the proxy, under the municipality's rules.
            "forwarded_allow_ips": "127.0.0.1",
        }
    ).run()
