"""What a browser may post, checked for shape only; whether an act is allowed is `worker.review`'s to say."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as later

from rules.pack import REASONS
from worker.review import CLOSE_REASONS, LONGEST_BODY, REJECT_REASONS, Refusal


class Text(forms.CharField):
    """Text as it was, but for its line ends: browsers send CRLF (HTML 4.10.21.4)."""

    def __init__(self, **options: Any) -> None:
        super().__init__(strip=False, **options)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n").replace("\r", "\n")


class Version(forms.Form):
    """Which version of the draft the person saw."""

    version = forms.IntegerField(min_value=1)


class Edit(Version):
    # Longer texts reach `worker.review`, which says how long a reply may be.
    subject = Text(max_length=1_000, required=False)
    body = Text(max_length=LONGEST_BODY * 4, required=False)


class Check(forms.Form):
    body = Text(max_length=LONGEST_BODY, required=False)


class Cut(Version):
    sentence = Text(max_length=LONGEST_BODY)


class Own(Cut):
    reason = forms.CharField(max_length=500, required=False)


class Approve(Version):
    content = forms.CharField(max_length=64)


class Reject(Version):
    reason = forms.MultipleChoiceField(choices=[(reason, reason) for reason in REJECT_REASONS], required=False)


class Correct(forms.Form):
    """Reasons that are not named stay as they are: a page that is a little old takes nothing away."""

    intent = forms.CharField(max_length=64)
    language = forms.CharField(max_length=8)
    add = forms.MultipleChoiceField(choices=[(reason, reason) for reason in REASONS], required=False)
    take_away = forms.MultipleChoiceField(choices=[(reason, reason) for reason in REASONS], required=False)


class Close(forms.Form):
    reason = forms.ChoiceField(choices=[(reason, reason) for reason in CLOSE_REASONS])


class Reassign(forms.Form):
    to = forms.ModelChoiceField(
        User.objects.none(),
        to_field_name="username",
        required=False,
        error_messages={"invalid_choice": later("That colleague does not work with this mailbox.")},
    )

    def __init__(self, data: Any, people: QuerySet[User]) -> None:
        super().__init__(data)
        self.fields["to"].queryset = people  # type: ignore[attr-defined]


class Open(forms.Form):
    reason = forms.CharField(
        max_length=300,
        min_length=3,
        error_messages={"required": later("Write why you open it."), "min_length": later("Write why you open it.")},
    )


def posted(form: forms.Form) -> dict[str, Any]:
    """The cleaned values. A form that our own pages cannot have sent, or an empty choice, is refused at the dock."""
    if form.is_valid():
        return form.cleaned_data
    raise Refusal(_("That could not be read: %(fault)s") % {"fault": next(iter(form.errors.values()))[0]})
