"""Who wrote is proven by our own mail server's DMARC verdict and by nothing else."""

from __future__ import annotations

import pytest

from rules.sender import prove
from rules.values import Mailbox, Sender, SenderMethod

ANNA = Mailbox("Anna", "anna@post.example")
OURS = ("mx.kommun.example",)
PASS = "mx.kommun.example; dmarc=pass header.from=post.example"


def judged(*results: str, sender: str = "anna@post.example", ids: tuple[str, ...] = OURS) -> Sender:
    return prove(results, (Mailbox("", sender),), authserv_ids=ids)


# (results, verified, method)
VERDICTS = [
    ([PASS], True, SenderMethod.DMARC),
    (["MX.Kommun.Example 1; DMARC=pass header.from=POST.example"], True, SenderMethod.DMARC),
    (
        ["mx.kommun.example; dmarc=pass (p=REJECT sp=REJECT dis=NONE) header.from=post.example;"],
        True,
        SenderMethod.DMARC,
    ),
    (
        [
            "mx.kommun.example; spf=pass (sender IP is 192.0.2.1) smtp.mailfrom=post.example; "
            "dkim=pass header.d=post.example;dmarc=pass action=none header.from=post.example;compauth=pass reason=100"
        ],
        True,
        SenderMethod.DMARC,
    ),
    ([PASS, "mx.annan.example; dmarc=fail header.from=post.example"], True, SenderMethod.DMARC),
    ([], False, SenderMethod.NONE),
    ([""], False, SenderMethod.NONE),
    (["mx.kommun.example; none"], False, SenderMethod.NONE),
    (["mx.annan.example; dmarc=pass header.from=post.example"], False, SenderMethod.NONE),
    (["mx.kommun.example.annan.example; dmarc=pass header.from=post.example"], False, SenderMethod.NONE),
    (["mx.annan.example; none", PASS], False, SenderMethod.NONE),
    (
        ["spf=pass smtp.mailfrom=post.example; dmarc=pass action=none header.from=post.example"],
        False,
        SenderMethod.NONE,
    ),
    (["dmarc=pass header.from=post.example"], False, SenderMethod.NONE),
    (["mx.kommun.example; dmarc=fail header.from=post.example"], False, SenderMethod.NONE),
    (["mx.kommun.example; dmarc=none header.from=post.example"], False, SenderMethod.NONE),
    (["mx.kommun.example; dmarc=bestguesspass header.from=post.example"], False, SenderMethod.NONE),
    (["mx.kommun.example; dmarc=pass header.from=annan.example"], False, SenderMethod.NONE),
    (["mx.kommun.example; dmarc=pass"], False, SenderMethod.NONE),
    (["mx.kommun.example; dmarc=pass header.from=example"], False, SenderMethod.NONE),
    (
        ["mx.kommun.example; dmarc=fail header.from=post.example; dmarc=pass header.from=post.example"],
        False,
        SenderMethod.NONE,
    ),
    (["mx.kommun.example; dkim=pass header.d=post.example"], False, SenderMethod.DKIM),
    (
        ["mx.kommun.example; dkim=pass header.i=@post.example; dmarc=fail header.from=post.example"],
        False,
        SenderMethod.DKIM,
    ),
    (["mx.kommun.example; dkim=pass header.d=annan.example"], False, SenderMethod.NONE),
    (
        ["mx.kommun.example; dkim=fail header.d=post.example; spf=pass smtp.mailfrom=x@post.example"],
        False,
        SenderMethod.SPF,
    ),
    (["mx.kommun.example; spf=pass smtp.mailfrom=annan.example"], False, SenderMethod.NONE),
    (
        ['mx.kommun.example; spf=pass smtp.mailfrom="a; dmarc=pass header.from=post.example"@annan.example'],
        False,
        SenderMethod.NONE,
    ),
    (
        ["mx.kommun.example; spf=fail (a; dmarc=pass header.from=post.example) smtp.mailfrom=a.example"],
        False,
        SenderMethod.NONE,
    ),
    (["mx.kommun.example; dmarc=pass header.from=post.example (" + "(" * 3_000], False, SenderMethod.NONE),
    (["mx.kommun.example; " + "x=pass; " * 5_000 + "dmarc=pass header.from=post.example"], False, SenderMethod.NONE),
]


@pytest.mark.parametrize(("results", "verified", "method"), VERDICTS, ids=range(len(VERDICTS)))
def test_only_a_dmarc_pass_in_the_topmost_result_of_our_server_verifies(
    results: list[str], verified: bool, method: SenderMethod
) -> None:
    sender = judged(*results)
    assert (sender.verified, sender.method) == (verified, method)
    assert sender.reason.endswith(".")


EXCHANGE_ONLINE = (
    "spf=pass (sender IP is 192.0.2.1)\r\n smtp.mailfrom=post.example; dkim=pass (signature was verified)\r\n"
    " header.d=post.example;dmarc=pass action=none\r\n header.from=post.example;compauth=pass reason=100"
)


@pytest.mark.parametrize(
    ("results", "verified"),
    [
        ([EXCHANGE_ONLINE], True),
        ([EXCHANGE_ONLINE, "mx.annan.example; dmarc=fail header.from=post.example"], True),
        ([EXCHANGE_ONLINE.replace("dmarc=pass", "dmarc=fail")], False),
        ([EXCHANGE_ONLINE.replace("header.from=post", "header.from=annan")], False),
        (["spf=none; dmarc=none action=none header.from=post.example", EXCHANGE_ONLINE], False),
        (["mx.annan.example; none", EXCHANGE_ONLINE], False),
        (["microsoft-365; dmarc=fail header.from=post.example", EXCHANGE_ONLINE], False),
    ],
)
def test_results_without_a_name_count_only_on_top_and_only_where_microsoft_365_is_named(
    results: list[str], verified: bool
) -> None:
    assert judged(*results, ids=("microsoft-365",)).verified is verified
    assert not judged(*results).verified


@pytest.mark.parametrize("senders", [(ANNA,), (ANNA, ANNA), ()])
def test_an_account_of_the_mailboxs_own_directory_is_proven_when_it_is_the_only_sender(
    senders: tuple[Mailbox, ...],
) -> None:
    sender = prove((), senders, from_directory=True)
    assert (sender.verified, sender.method is SenderMethod.DIRECTORY) == ((len(senders) == 1,) * 2)


def test_without_a_named_server_nothing_is_ever_verified() -> None:
    assert not judged(PASS, ids=()).verified
    assert not judged("; dmarc=pass header.from=post.example", ids=("",)).verified


def test_policy_of_the_organisation_covers_its_subdomains() -> None:
    assert judged(PASS, sender="anna@mail.post.example").verified
    assert not judged(PASS, sender="anna@annanpost.example").verified
    assert not judged("mx.kommun.example; dmarc=pass header.from=mail.post.example").verified


def test_international_domain_is_compared_in_its_ascii_form() -> None:
    assert judged("mx.kommun.example; dmarc=pass header.from=xn--hb-yia.example", sender="anna@håb.example").verified


@pytest.mark.parametrize(("senders", "from_fields"), [((ANNA, ANNA), 1), ((ANNA,), 2), ((), 1), ((), 0)])
def test_other_than_one_sender_is_never_verified(senders: tuple[Mailbox, ...], from_fields: int) -> None:
    assert not prove([PASS], senders, from_fields=from_fields, authserv_ids=OURS).verified


def test_result_of_our_server_below_another_is_forged() -> None:
    assert judged("mx.annan.example; none", PASS).suspicious
    assert not judged("mx.annan.example; none", "mx.tredje.example; dmarc=pass header.from=post.example").suspicious
    assert not judged(PASS, PASS).suspicious


# (From, Reply-To, suspicious)
LOOKS = [
    (Mailbox("Anna", "anna@post.example"), (), False),
    (Mailbox("Anna", "anna@post.example"), ("anna@post.example",), False),
    (Mailbox("Anna", "anna@post.example"), ("anna@mail.post.example",), False),
    (Mailbox("Anna", "anna@post.example"), ("anna@annan.example",), True),
    (Mailbox("anna@post.example", "Anna@post.example"), (), False),
    (Mailbox("info@kommun.example", "x@post.example"), (), True),
    (Mailbox("Chef (chef@kommunen.example)", "x@post.example"), (), True),
    (Mailbox("", "info@kommunen.example"), (), False),
    (Mailbox("", "a@skola.kommunen.example"), (), False),
    (Mailbox("", "info@kommunenn.example"), (), True),
    (Mailbox("", "info@komunen.example"), (), True),
    (Mailbox("", "info@kommnuen.example"), (), True),
    (Mailbox("", "info@kornmunen.example"), (), True),
    (Mailbox("", "info@k0mmunen.example"), (), True),
    (Mailbox("", "info@kommunén.example"), (), True),
    (Mailbox("", "info@k\u043emmunen.example"), (), True),
    (Mailbox("", "info@xn--kmmunen-9ig.example"), (), True),
    (Mailbox("", "info@kommunen.example.post.test"), (), True),
    (Mailbox("", "info@kommun-en.example"), (), True),
    (Mailbox("", "info@grannkommunen.example"), (), False),
    (Mailbox("", "info@håbo.example"), (), False),
]


@pytest.mark.parametrize(("sender", "reply_to", "suspicious"), LOOKS, ids=range(len(LOOKS)))
def test_sender_that_looks_false_is_suspicious(sender: Mailbox, reply_to: tuple[str, ...], suspicious: bool) -> None:
    answered = tuple(Mailbox("", address) for address in reply_to)
    proof = prove([], (sender,), reply_to=answered, own_addresses=("info@kommunen.example",))
    assert bool(proof.suspicious) is suspicious, proof.suspicious


def test_short_neighbours_are_no_imitations() -> None:
    assert not prove([], (Mailbox("", "a@mo.no"),), own_addresses=("info@bo.no",)).suspicious


def test_nothing_said_about_a_sender_quotes_the_mail() -> None:
    sender = prove(
        [PASS.replace("pass", "secretword")], (Mailbox("secret@a.example", "x@secret.example"),), authserv_ids=OURS
    )
    assert not any("secret" in sentence for sentence in (sender.reason, *sender.suspicious))
