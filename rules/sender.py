"""Who really wrote: the verdict of our own mail server on the sending domain, and what makes a sender look false.

Only the topmost Authentication-Results of a server the administrator has named counts (RFC 8601, 5). Anything else in
the mail, a result header below it included, may have been written by whoever sent it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import authres
import authres.dmarc

from rules.values import Mailbox, Sender, SenderMethod

_MAX_RESULTS_LENGTH = 8_000
_MAX_RESULTS_FIELDS = 20
_PARSER = authres.FeatureContext(authres.dmarc)

MICROSOFT_365 = "microsoft-365"
"""Stands for Exchange Online among the mail servers that count. It writes its results without its own name, against
RFC 8601, section 2.2; only their place tells whose they are: it puts them above everything that came from outside."""
_NAMELESS = re.compile(r"\s*(spf|dkim|dmarc|compauth)\s*=", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Result:
    method: str
    result: str
    properties: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str:
        return next((value for key, value in self.properties if key == name), "")


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What one Authentication-Results header says, and which server says it."""

    server: str
    results: tuple[_Result, ...]

    def of(self, method: str) -> tuple[_Result, ...]:
        return tuple(result for result in self.results if result.method == method)


def prove(
    authentication_results: Sequence[str],
    senders: Sequence[Mailbox],
    *,
    from_fields: int = 1,
    reply_to: Sequence[Mailbox] = (),
    authserv_ids: Collection[str] = (),
    own_addresses: Collection[str] = (),
    from_directory: bool = False,
) -> Sender:
    """`authentication_results` are the header's values in their order, the topmost first.

    `from_directory`: the mailbox's own server says that the account of this address handed the mail in, signed in.
    """
    trusted = {server.strip().lower() for server in authserv_ids if server.strip()}
    verdicts = _verdicts(authentication_results[:_MAX_RESULTS_FIELDS], trusted) if trusted else []
    if from_directory and from_fields == len(senders) == 1:
        verified, method, reason = True, SenderMethod.DIRECTORY, "A signed-in account of the mailbox's own directory."
    else:
        verified, method, reason = _judge(verdicts, senders, from_fields, trusted)
    suspicious = _suspicions(senders, from_fields, reply_to, own_addresses)
    if not verified and any(_claims_pass(verdict, trusted) for verdict in verdicts[1:]):
        suspicious += (
            "An authentication result in the name of our mail server stands where our server does not put it.",
        )
    return Sender(verified, method, reason, suspicious)


def domain_of(address: str) -> str:
    """The domain as it stands in the DNS: lower case, international names in their ASCII form."""
    domain = address.rpartition("@")[2].strip().rstrip(".").lower()[:255]
    try:
        return domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError:
        return domain


def same_organisation(one: str, other: str) -> bool:
    """Equal, or one below the other. A bare top-level domain is nobody's organisation."""
    shorter, longer = sorted((one, other), key=len)
    return bool(shorter) and (one == other or ("." in shorter and longer.endswith("." + shorter)))


# --- the mail server's verdict ---

_NONE = SenderMethod.NONE
Judgement = tuple[bool, SenderMethod, str]


def _judge(
    verdicts: Sequence[_Verdict | None], senders: Sequence[Mailbox], from_fields: int, trusted: set[str]
) -> Judgement:
    if not trusted:
        return False, _NONE, "No mail server is named whose authentication results count."
    if from_fields != 1 or len(senders) != 1:
        return False, _NONE, "The mail does not have exactly one sender."
    if not verdicts:
        return False, _NONE, "The mail carries no authentication results."
    topmost = verdicts[0]
    if topmost is None:
        return False, _NONE, "The topmost authentication results could not be read, or name no mail server."
    if topmost.server not in trusted:
        return False, _NONE, "The topmost authentication results are not from a mail server that counts."
    return _judge_trusted(topmost, domain_of(senders[0].address))


def _judge_trusted(verdict: _Verdict, domain: str) -> Judgement:
    dmarc = verdict.of("dmarc")
    if dmarc and all(result.result == "pass" for result in dmarc):
        if all(_speaks_of(result.get("header.from"), domain) for result in dmarc):
            return (
                True,
                SenderMethod.DMARC,
                "The mail server found that the mail comes from the domain it names (DMARC).",
            )
        return False, _NONE, "The DMARC result is about another domain than the sender's."
    method = _weaker_proof(verdict, domain)
    if dmarc:
        return False, method, f"The mail server's DMARC verdict is {_word(dmarc)}, not pass."
    if method is SenderMethod.DKIM:
        return False, method, "A signature of the sender's domain holds (DKIM), but there is no DMARC verdict."
    if method is SenderMethod.SPF:
        return (
            False,
            method,
            "Only the delivering server is known to the domain (SPF), which does not prove the sender.",
        )
    return False, method, "The mail server gives no verdict that proves the sender."


def _speaks_of(header_from: str, domain: str) -> bool:
    """Some servers name the organisation's domain whose policy they applied, others the very domain."""
    named = domain_of(header_from)
    return bool(named) and (named == domain or ("." in named and domain.endswith("." + named)))


def _weaker_proof(verdict: _Verdict, domain: str) -> SenderMethod:
    signed_by = [domain_of(r.get("header.d") or r.get("header.i")) for r in verdict.of("dkim") if r.result == "pass"]
    if any(same_organisation(signer, domain) for signer in signed_by):
        return SenderMethod.DKIM
    sent_by = [domain_of(r.get("smtp.mailfrom") or r.get("smtp.mail")) for r in verdict.of("spf") if r.result == "pass"]
    return SenderMethod.SPF if any(same_organisation(sending, domain) for sending in sent_by) else _NONE


_RESULT_WORDS = frozenset(
    {"none", "neutral", "fail", "softfail", "temperror", "permerror", "bestguesspass", "quarantine", "reject"}
)


def _word(results: Sequence[_Result]) -> str:
    word = next(result.result for result in results if result.result != "pass")
    return word if word in _RESULT_WORDS else "another"


def _verdicts(values: Sequence[str], trusted: set[str]) -> list[_Verdict | None]:
    if MICROSOFT_365 in trusted and values and _NAMELESS.match(values[0]):
        values = (f"{MICROSOFT_365}; {values[0]}", *values[1:])
    return [_read(value) for value in values]


def _read(value: str) -> _Verdict | None:
    """None for what authres cannot read, such as results without the name of the server that found them.

    There is no second, more lenient reading: parts of this header repeat what the sender wrote, and two readings of it
    are a gap to slip a verdict through.
    """
    # Some filters end the header with a semicolon, which RFC 8601 does not allow for and authres refuses.
    field = value.strip().rstrip(";").rstrip()
    if not field or len(field) > _MAX_RESULTS_LENGTH:
        return None
    try:
        header = _PARSER.parse(f"Authentication-Results: {field}")
        results = tuple(_result(result) for result in header.results if getattr(result, "method", None))
    except (authres.AuthResError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return _Verdict(str(header.authserv_id or "").lower(), results)


def _result(result: authres.AuthenticationResult) -> _Result:
    properties = tuple((f"{found.type}.{found.name}".lower(), str(found.value or "")) for found in result.properties)
    return _Result(str(result.method).lower(), str(result.result or "").lower(), properties)


def _claims_pass(verdict: _Verdict | None, trusted: set[str]) -> bool:
    return verdict is not None and verdict.server in trusted and any(r.result == "pass" for r in verdict.of("dmarc"))


# --- what looks false ---

_ADDRESS_IN_NAME = re.compile(r"[^\s<>()\"',;:@]{1,64}@[^\s<>()\"',;:@]{1,200}\.[^\s<>()\"',;:@]{1,60}")


def _suspicions(
    senders: Sequence[Mailbox], from_fields: int, reply_to: Sequence[Mailbox], own_addresses: Collection[str]
) -> tuple[str, ...]:
    domains = [domain_of(mailbox.address) for mailbox in senders]
    own_domains = {domain_of(address) for address in own_addresses} - {""}
    looks = (
        (from_fields > 1 or len(senders) > 1, "The mail names more than one sender."),
        (
            any(_answers_go_elsewhere(mailbox, domains) for mailbox in reply_to),
            "Replies would go to another domain than the sender's.",
        ),
        (
            any(_poses_as_another(mailbox) for mailbox in senders),
            "The sender's name shows another e-mail address than the sender's.",
        ),
        (
            any(_imitates(domain, own_domains) for domain in domains),
            "The sender's domain looks like ours but is another.",
        ),
        (
            any(_mixes_scripts(domain) for domain in domains),
            "The sender's domain mixes letters of different alphabets.",
        ),
    )
    return tuple(sentence for applies, sentence in looks if applies)


def _answers_go_elsewhere(reply_to: Mailbox, domains: Sequence[str]) -> bool:
    return bool(domains) and not any(same_organisation(domain_of(reply_to.address), domain) for domain in domains)


def _poses_as_another(sender: Mailbox) -> bool:
    shown = _ADDRESS_IN_NAME.findall(sender.name)
    return any(address.lower().strip(".") != sender.address.lower() for address in shown)


# Cyrillic, Greek and Armenian letters, dotless i and digits that stand for a Latin letter at a glance.
_LOOKS_LIKE = str.maketrans(
    {
        **dict.fromkeys("\u0430\u03b1", "a"),
        **dict.fromkeys("\u0441", "c"),
        **dict.fromkeys("\u0501", "d"),
        **dict.fromkeys("\u0435", "e"),
        **dict.fromkeys("\u0261", "g"),
        **dict.fromkeys("\u04bb", "h"),
        **dict.fromkeys("\u0456\u03b9\u0131", "i"),
        **dict.fromkeys("\u0458", "j"),
        **dict.fromkeys("\u043a\u03ba", "k"),
        **dict.fromkeys("\u04cf1", "l"),
        **dict.fromkeys("\u043c", "m"),
        **dict.fromkeys("\u0578", "n"),
        **dict.fromkeys("\u043e\u03bf\u05850", "o"),
        **dict.fromkeys("\u0440\u03c1", "p"),
        **dict.fromkeys("\u0455", "s"),
        **dict.fromkeys("\u0442\u03c4", "t"),
        **dict.fromkeys("\u03c5", "u"),
        **dict.fromkeys("\u03bd", "v"),
        **dict.fromkeys("\u0445", "x"),
        **dict.fromkeys("\u0443", "y"),
        "\u00f8": "o",
        "\u00e6": "ae",
        "\u0142": "l",
        "\u0111": "d",
    }
)


def _imitates(domain: str, own_domains: Collection[str]) -> bool:
    if any(same_organisation(domain, own) for own in own_domains):
        return False
    return any(_alike(domain, own) or domain.startswith(own + ".") for own in own_domains)


def _alike(domain: str, own: str) -> bool:
    # In a short name one letter is the difference between two honest neighbours.
    return _at_a_glance(domain) == _at_a_glance(own) or (
        len(own) >= 8 and _one_edit_apart(_unicode(domain), _unicode(own))
    )


def _at_a_glance(domain: str) -> str:
    plain = "".join(
        letter for letter in unicodedata.normalize("NFKD", _unicode(domain)) if not unicodedata.combining(letter)
    )
    return plain.translate(_LOOKS_LIKE).replace("rn", "m").replace("vv", "w").replace("-", "")


def _unicode(domain: str) -> str:
    try:
        return domain.encode("ascii").decode("idna") if "xn--" in domain else domain
    except UnicodeError:
        return domain


def _one_edit_apart(one: str, other: str) -> bool:
    """One letter more, less, other, or two neighbours swapped."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    start = next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
    rest, other_rest = one[start:], other[start:]
    swapped = rest[:2] == other_rest[:2][::-1] and rest[2:] == other_rest[2:]
    return rest[1:] == other_rest[1:] or rest[1:] == other_rest or rest == other_rest[1:] or swapped


def _mixes_scripts(domain: str) -> bool:
    return any(len(_scripts(label)) > 1 for label in _unicode(domain).split("."))


def _scripts(label: str) -> set[str]:
    return {unicodedata.name(letter, "?").split()[0] for letter in label if letter.isalpha()}
