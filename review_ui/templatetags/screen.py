"""What every template needs: icons from the one sprite, and the name of the municipality."""

from __future__ import annotations

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

from worker.municipality import configured

register = template.Library()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A drawing that says nothing by itself, or, with a label, one that is read aloud."""
    spoken = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    return format_html('<svg class="i" {}><use href="{}#i-{}"/></svg>', spoken, static("review/icons.svg"), name)


@register.simple_tag
def municipality() -> str:
    return configured().name
