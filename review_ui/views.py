"""The reviewers' screen. A view finds the mail (with access), checks the form, calls `worker.review`, shows the page.

Every act is a plain form that ends in a redirect. A refusal is shown at the dock, and somebody being first is a page of
its own, so that nothing is ever overwritten and nothing that was written is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from review_ui import access, drift, forms, listing, present, words
from review_ui.access import Rights
from rules import message as mime
from worker import again, correcting, health, review
from worker.models import Mail
from worker.municipality import configured

P = ParamSpec("P")
Inner = Callable[Concatenate[HttpRequest, Rights, P], HttpResponse]
Outer = Callable[Concatenate[HttpRequest, P], HttpResponse]


def signed_in(view: Inner[P]) -> Outer[P]:
    """The view with what its person may do. Nothing of it is kept by a browser or a proxy."""

    @wraps(view)
    def inner(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        return view(request, access.rights_of(request.user), *args, **kwargs)  # type: ignore[arg-type]

    return never_cache(login_required(inner))


def act(change: Callable[[HttpRequest, Rights, Mail], str]) -> Outer[[int]]:
    """A change to one mail by somebody who sees it and may act. What `change` returns is said on the page after it."""

    @wraps(change)
    def inner(request: HttpRequest, rights: Rights, mail_id: int) -> HttpResponse:
        mail = access.find(rights, mail_id)
        if not rights.acts:
            raise PermissionDenied
        if not access.is_open_to(request, mail):
            return redirect("open", mail_id)
        try:
            said = change(request, rights, mail)
        except review.Changed:
            yours = request.POST.get("body", "")
            return show(request, rights, "review/changed.html", {"mail": mail, "yours": yours}, status=409)
        except review.Refusal as refusal:
            return mail_page(request, rights, access.find(rights, mail_id), refusal=refusal.sentence)
        if said:
            messages.success(request, said)
        # An added reason may have put the mail out of this person's sight.
        return redirect("mail", mail_id) if access.sees(rights, mail_id) else redirect("queue")

    return require_POST(signed_in(inner))


def show(
    request: HttpRequest, rights: Rights, template: str, context: dict[str, object], status: int = 200
) -> HttpResponse:
    """A page with the bar on top, which says who is signed in."""
    name = words.name_of(rights.person)
    me = {"name": name, "initials": words.initials(name), "roles": ", ".join(rights.roles)}
    return render(request, template, {"rights": rights, "me": me, **context}, status=status)


# --- the queue


@require_safe
@signed_in
def queue(request: HttpRequest, rights: Rights) -> HttpResponse:
    if not (rights.roles and rights.mailboxes):
        return show(request, rights, "review/no_mailbox.html", {})
    pack = configured().rule_pack()
    view = listing.chosen(request.GET.get("view", ""), rights)
    filters = listing.Filters.of(request.GET.dict())
    page = listing.page_of(rights, view, filters, request.GET.get("page", "1"))
    context = {
        "view": view,
        "filters": filters,
        "page": page,
        "days": listing.days(page, rights, pack),
        "address": listing.query(view, filters),
    }
    if request.htmx:  # type: ignore[attr-defined]
        response = show(request, rights, "review/queue/_rows.html", context)
    else:
        response = show(request, rights, "review/queue.html", context | listing.around(rights, view, pack))
    # One address has two answers, the page and its rows; a cache or the back button must not take one for the other.
    patch_vary_headers(response, ["HX-Request"])
    return response


@require_safe
@signed_in
def drift_page(request: HttpRequest, rights: Rights) -> HttpResponse:
    if not rights.oversees:
        raise PermissionDenied
    return show(request, rights, "review/drift.html", drift.page(rights, configured().rule_pack(), timezone.now()))


# --- one mail


@require_safe
@signed_in
def mail(request: HttpRequest, rights: Rights, mail_id: int) -> HttpResponse:
    found = access.find(rights, mail_id)
    if not access.is_open_to(request, found):
        return redirect("open", mail_id)
    return mail_page(request, rights, found)


def mail_page(request: HttpRequest, rights: Rights, mail: Mail, *, refusal: str = "") -> HttpResponse:
    """The whole page of a mail; after a refusal with the sentence, and with what was being written."""
    shown = {
        "refusal": refusal,
        "editing": "edit" in request.GET or (bool(refusal) and "body" in request.POST),
        "written": request.POST if refusal else {},
        "ticked": request.POST.getlist("tick"),
    }
    return show(
        request, rights, "review/mail.html", present.mail_page(rights, mail) | shown, status=422 if refusal else 200
    )


@signed_in
def open_restricted(request: HttpRequest, rights: Rights, mail_id: int) -> HttpResponse:
    """Ask why a restricted mail is opened; log it; only then show it."""
    found = access.find(rights, mail_id)
    if access.is_open_to(request, found):
        return redirect("mail", mail_id)
    form = forms.Open(request.POST or None)
    if request.method == "POST" and form.is_valid():
        access.open_restricted(request, rights, found, form.cleaned_data["reason"])
        return redirect("mail", mail_id)
    return show(request, rights, "review/open.html", {"mail": found, "form": form}, status=422 if form.errors else 200)


@require_safe
@signed_in
def state(request: HttpRequest, rights: Rights, mail_id: int) -> HttpResponse:
    """Asked by an open page while the machine is at work: no content until the state is another one."""
    if access.find(rights, mail_id).state == request.GET.get("was"):
        return HttpResponse(status=204)
    return HttpResponse(headers={"HX-Refresh": "true"})


@require_safe
@signed_in
def attachment(request: HttpRequest, rights: Rights, mail_id: int, number: int) -> HttpResponse:
    """One attachment, only ever as a download: what a stranger sent is never shown in a page of ours."""
    found = access.find(rights, mail_id)
    part = mime.attachment(bytes(found.raw), number) if access.is_open_to(request, found) else None
    if part is None:
        raise Http404
    name = present.file_name(part[0].name, number)
    response = HttpResponse(part[1], content_type="application/octet-stream")
    response["Content-Disposition"] = content_disposition_header(True, name)
    response["Content-Security-Policy"] = "sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
@signed_in
def check(request: HttpRequest, rights: Rights, mail_id: int) -> HttpResponse:
    """A text being written, against the sources. Nothing is stored."""
    found = access.find(rights, mail_id)
    form = forms.Check(request.POST)
    if not (access.is_open_to(request, found) and hasattr(found, "draft")):
        raise Http404
    checked = present.check(found, form.cleaned_data["body"]) if form.is_valid() else None
    return render(request, "review/mail/_check.html", {"checked": checked})


@act
def edit(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    given = forms.posted(forms.Edit(request.POST))
    review.edit(mail.pk, rights.person, given["version"], given["body"], given["subject"] or None)
    return _("Saved. Every approval given before is void.")


@act
def cut(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    given = forms.posted(forms.Cut(request.POST))
    review.cut(mail.pk, rights.person, given["version"], given["sentence"])
    return _("The sentence is cut.")


@act
def own(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    given = forms.posted(forms.Own(request.POST))
    review.own(mail.pk, rights.person, given["version"], given["sentence"], given["reason"])
    return _("The sentence stands in your name.")


@act
def read_again(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    changed = review.read_again(mail.pk, rights.person)
    if changed:
        return _("The registers say something else now; the reply is drafted again.")
    return _("Read again: nothing has changed.")


@act
def approve(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    if not rights.approves(mail.queue):
        raise PermissionDenied
    given = forms.posted(forms.Approve(request.POST))
    if given["content"] != present.content_now(mail):
        raise review.Changed
    reply = review.approve(mail.pk, rights.person, given["version"], request.POST.getlist("tick"))
    return "" if reply else _("Approved. A second person must approve it too.")


@act
def take_back(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    review.take_back(mail.pk, rights.person)
    return _("Approval taken back. The draft is yours again; nothing was sent.")


@act
def put_back(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    review.put_back(mail.pk, rights.person)
    return _("The draft is back for review. Approve it to send it.")


@act
def mark_sent(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    review.mark_sent(mail.pk, rights.person)
    return _("Marked as sent, in your name.")


@act
def reject(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    given = forms.posted(forms.Reject(request.POST))
    review.reject(mail.pk, rights.person, given["version"], given["reason"])
    return _("Rejected. The mail is yours to answer.")


@act
def reassign(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    to = forms.posted(forms.Reassign(request.POST, access.colleagues(mail)))["to"]
    review.reassign(mail.pk, rights.person, to)
    return _("Handed over.") if to else _("Given back to everybody.")


@act
def correct(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    given = forms.posted(forms.Correct(request.POST))
    correcting.correct(mail.pk, rights.person, given["intent"], given["language"], given["add"], given["take_away"])
    return _("Corrected. The machine goes on with it, and learns from it.")


@act
def close(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    review.close(mail.pk, rights.person, forms.posted(forms.Close(request.POST))["reason"])
    return _("Closed without a reply.")


@act
def read_anew(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    again.read_anew(mail.pk, rights.person)
    return _("The machine reads the mail anew.")


@act
def split(request: HttpRequest, rights: Rights, mail: Mail) -> str:
    again.split(mail.pk, rights.person)
    return _("The mail has a case of its own now.")


@require_POST
@signed_in
def not_taken_in(request: HttpRequest, rights: Rights, name: str, event_id: int) -> HttpResponse:
    """Fetch a mail that could not be taken in once more, or say that it has been seen to."""
    mailbox = next((mailbox for mailbox in rights.mailboxes if mailbox.name == name), None)
    if mailbox is None:
        raise Http404
    if not rights.leads:
        raise PermissionDenied
    try:
        if "again" in request.POST:
            again.fetch_again(mailbox, event_id, rights.person)
            messages.success(request, _("The mail is taken in and in the queue."))
        else:
            again.seen_to(mailbox, event_id, rights.person)
            messages.success(request, _("Noted, with your name."))
    except review.Refusal as refusal:
        messages.error(request, refusal.sentence)
    return redirect("queue")


# --- for machines


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"alive": True})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Names of what fails and nothing more: this address is open to everybody."""
    failing = sorted(health.faults())
    return JsonResponse({"ready": not failing, "failing": failing}, status=503 if failing else 200)
