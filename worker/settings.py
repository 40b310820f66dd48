"""Every setting, read once from the environment. A wrong or missing one stops the start with its name and a remedy.

`NAME_FILE` may hold the path of a file with the value of NAME (for secrets kept by the container engine).
"""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from zoneinfo import available_timezones

from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

ROOT = Path(__file__).resolve().parent.parent


def text(name: str, default: str | None = None, remedy: str = "") -> str:
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read ({error.strerror}).") from None
    value = os.environ.get(name, default)
    if value is None:
        raise ImproperlyConfigured(f"{name} is not set. {remedy}".strip())
    return value


def number(name: str, default: int, *, least: int = 0) -> int:
    value = os.environ.get(name, str(default))
    try:
        found = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if found < least:
        raise ImproperlyConfigured(f"{name} must be at least {least}, not {found}.")
    return found


def one_of(name: str, default: str, known: Collection[str], like: str) -> str:
    value = os.environ.get(name, default)
    if value not in known:
        raise ImproperlyConfigured(f"{name} must be {like}, not {value!r}.")
    return value


def flag(name: str, default: bool) -> bool:
    value = os.environ.get(name, "yes" if default else "no").lower()
    if value not in ("yes", "no"):
        raise ImproperlyConfigured(f"{name} must be yes or no, not {value!r}.")
    return value == "yes"


def database(url: str) -> dict[str, object]:
    try:
        parts = conninfo_to_dict(url)
    except ProgrammingError:
        parts = {}
    if not parts.get("dbname"):
        raise ImproperlyConfigured("DATABASE_URL must look like postgresql://user:password@host/name.")
    known = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    chosen = {setting: str(parts.pop(part, "") or "") for setting, part in known.items()}
    return {"ENGINE": "django.db.backends.postgresql", **chosen, "CONN_MAX_AGE": 60, "OPTIONS": parts}


# The two servers
DATABASES = {
    "default": database(
        text("DATABASE_URL", remedy="`kommunpost demo` starts a database of its own; see docs/running.md.")
    )
}
REDIS_URL = text("REDIS_URL", remedy="`kommunpost demo` starts a broker of its own; see docs/running.md.")

# Secrets
SECRET_KEY = text("KOMMUNPOST_SECRET_KEY", remedy="Set it to 50 random characters; see docs/running.md.")
STORAGE_KEYS = text(
    "KOMMUNPOST_STORAGE_KEYS", remedy="Make one with `kommunpost doctor --new-key`; see docs/running.md."
)

# The municipality: its name, mailboxes, registers and rule pack (docs/running.md)
MUNICIPALITY = Path(text("KOMMUNPOST_MUNICIPALITY", str(ROOT / "demo" / "municipality.yaml")))
DATA = Path(text("KOMMUNPOST_DATA", str(ROOT / ".kommunpost")))

# How long a reply waits after approval, so that the reviewer can take it back (seconds)
UNDO_S = number("KOMMUNPOST_UNDO_S", 30)
# How long a worker may hold a reply while sending it, and how long an unclear outcome settles before Sent is asked
SENDING_LEASE_S = number("KOMMUNPOST_SENDING_LEASE_S", 300, least=150)  # it must outlast a task (worker.celery)
SETTLE_S = number("KOMMUNPOST_SETTLE_S", 60)
# How often mailboxes are read (seconds)
POLL_S = number("KOMMUNPOST_POLL_S", 60, least=1)

# Web
HOSTS = text("KOMMUNPOST_HOSTS", "localhost,127.0.0.1").split(",")
ALLOWED_HOSTS = [*HOSTS, "localhost"]  # by which the container asks after its own health
BEHIND_TLS = flag("KOMMUNPOST_BEHIND_TLS", True)
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in HOSTS if BEHIND_TLS and host != "*"]
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_AGE = int(timedelta(hours=10).total_seconds())
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if BEHIND_TLS else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

DEBUG = False
ROOT_URLCONF = "review_ui.urls"
WSGI_APPLICATION = "review_ui.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "axes",
    "csp",
    "django_htmx",
    "worker",
    "review_ui",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "axes.middleware.AxesMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# People
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "queue"
LOGOUT_REDIRECT_URL = "sign-in"
# One person's failures lock out that person from that address, never everybody behind one proxy.
AXES_FAILURE_LIMIT = 8
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_LOCKOUT_TEMPLATE = "review/locked_out.html"

# Language and time
LANGUAGE_CODE = "en"
LANGUAGES = [
    ("sv", "svenska"),
    ("fi", "suomi"),
    ("nb", "norsk bokmål"),
    ("nn", "norsk nynorsk"),
    ("da", "dansk"),
    ("en", "English"),
]
USE_TZ = True
TIME_ZONE = one_of("KOMMUNPOST_TIME_ZONE", "Europe/Stockholm", available_timezones(), "written like Europe/Stockholm")

# Understanding reads it by itself, also where no database is; here a slip of the pen stops the start.
CLASSIFIERS = ("linear", "transformer", "ensemble", "cascade")
CLASSIFIER = one_of("KOMMUNPOST_CLASSIFIER", "", ("", *CLASSIFIERS), f"one of {', '.join(CLASSIFIERS)}, or empty")

# Logs: English, a constant event with ids as fields; no mail text, no addresses (docs/running.md).
LOGGING_CONFIG = None
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_LEVEL = one_of("KOMMUNPOST_LOG_LEVEL", "INFO", LEVELS, f"one of {', '.join(LEVELS)}")
