"""Addresses of the screen. One view per address; a link to a mail holds its number and nothing else."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from review_ui import views

urlpatterns = [
    path("", views.queue, name="queue"),
    path("drift/", views.drift_page, name="drift"),
    path("mail/<int:mail_id>/", views.mail, name="mail"),
    path("mail/<int:mail_id>/open", views.open_restricted, name="open"),
    path("mail/<int:mail_id>/state", views.state, name="state"),
    path("mail/<int:mail_id>/attachment/<int:number>", views.attachment, name="attachment"),
    path("mail/<int:mail_id>/check", views.check, name="check"),
    path("mail/<int:mail_id>/edit", views.edit, name="edit"),
    path("mail/<int:mail_id>/cut", views.cut, name="cut"),
    path("mail/<int:mail_id>/own", views.own, name="own"),
    path("mail/<int:mail_id>/read-again", views.read_again, name="read-again"),
    path("mail/<int:mail_id>/approve", views.approve, name="approve"),
    path("mail/<int:mail_id>/take-back", views.take_back, name="take-back"),
    path("mail/<int:mail_id>/put-back", views.put_back, name="put-back"),
    path("mail/<int:mail_id>/mark-sent", views.mark_sent, name="mark-sent"),
    path("mail/<int:mail_id>/reject", views.reject, name="reject"),
    path("mail/<int:mail_id>/reassign", views.reassign, name="reassign"),
    path("mail/<int:mail_id>/correct", views.correct, name="correct"),
    path("mail/<int:mail_id>/close", views.close, name="close"),
    path("mail/<int:mail_id>/read-anew", views.read_anew, name="read-anew"),
    path("mail/<int:mail_id>/split", views.split, name="split"),
    path("mailbox/<slug:name>/not-taken-in/<int:event_id>", views.not_taken_in, name="not-taken-in"),
    path(
        "sign-in/",
        LoginView.as_view(template_name="review/sign_in.html", redirect_authenticated_user=True),
        name="sign-in",
    ),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
]
