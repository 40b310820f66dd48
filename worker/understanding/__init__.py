"""What a mail is about, in which language, what a person must look at, and what can be looked up.

Mail text is data: it changes probabilities and nothing else. Rules add reasons and never take one away. Where the model
is not sure, or a mail resembles nothing it knows, it abstains. The model is read once a process, when first asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING

from rules import entities, loops, national_ids, reasons
from rules.headers import Headers, addresses
from rules.pack import REASONS, RulePack
from rules.parts import Tree
from rules.quoting import reply_text
from rules.values import Alternative, Language, Mailbox, MailKind, Message, ModelVersion, NationalId, Understanding

if TYPE_CHECKING:
    from worker.understanding.classifier import Prediction, Thresholds
    from worker.understanding.model import Model

CLASSIFIER = "KOMMUNPOST_CLASSIFIER"
"""The setting that names the classifier: linear, transformer, ensemble or cascade; empty for the version's best."""
READ_AS_ONE = 600
"""Characters. In a longer mail, harmless words could outweigh the few that matter, so its parts are judged too."""
FALLBACK = "general_inquiry"
NOT_A_RESIDENT = "not_resident_mail"
MOST_ALTERNATIVES = 3

NO_MODEL = ModelVersion("none", "", "")

AUTOMATIC_ODDS = {
    MailKind.BOUNCE: 200.0,
    MailKind.AUTO_REPLY: 200.0,
    MailKind.RECEIPT: 200.0,
    MailKind.LIST: 20.0,
}
"""How much likelier not_resident_mail becomes when the headers say that a machine wrote. An estimate, on the careful
side for lists, since a resident may write through the list of an association. Policy, not this, decides on replies."""


@dataclass(frozen=True, slots=True)
class Text:
    """A mail as `kommunpost triage` is given it."""

    subject: str
    body: str
    sender: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    date: str = ""


@dataclass(frozen=True, slots=True)
class _Read:
    subject: str
    body: str
    own_words: str
    """What the sender wrote; the classifier sees nothing else. Ids, rules and entities look at everything."""
    kind: MailKind
    hidden: str = ""
    """What no reader sees. It can add reasons, and has no say in anything else."""


def understand(message: Message, pack: RulePack) -> Understanding:
    read = _Read(message.subject, message.text, message.reply_text, message.kind, message.hidden_text)
    return _understand([read], pack)[0]


def by_rules_alone(message: Message, pack: RulePack) -> Understanding:
    """For when no model can be asked: a mail with a threat must not lie before everybody because a file is missing.

    Its language is `other`: without our own words nobody can say surely which it is."""
    read = _Read(message.subject, message.text, message.reply_text, message.kind, message.hidden_text)
    return _by_rules(read, Language("other", 0.0), pack)


def understand_texts(texts: Sequence[Text], pack: RulePack, model: Model | None = None) -> list[Understanding]:
    """All at once, in order. `model`: another than the running one, to measure it."""
    return _understand([_Read(one.subject, one.body, reply_text(one.body), _kind(one)) for one in texts], pack, model)


def language_of(text: str, subject: str = "") -> Language:
    from worker.understanding.features import readable
    from worker.understanding.language import read_all

    [(_, found)] = read_all([readable(subject, text)], running().linear)
    return found


def model_version() -> ModelVersion:
    """Raises OSError or ValueError when there is no usable model."""
    return running().version


def running() -> Model:
    """The version and the classifier that this installation has chosen (docs/running.md)."""
    from worker.understanding import model

    return model.load(*_chosen())


def check() -> None:
    """Whether the running model is there, without reading all of it. Raises OSError or ValueError."""
    from worker.understanding import model

    model.check(*_chosen())


def _chosen() -> tuple[Path, str]:
    from worker.understanding import versions

    return versions.active(versions.data_folder()), configured_choice()


def configured_choice() -> str:
    """The classifier that the administrator named; empty for the version's best."""
    return os.environ.get(CLASSIFIER, "")


def _understand(mails: Sequence[_Read], pack: RulePack, model: Model | None = None) -> list[Understanding]:
    from worker.understanding.features import readable
    from worker.understanding.language import read_all
    from worker.understanding.neighbours import newcomers

    model = model or running()
    read = read_all([readable(mail.subject, mail.own_words) for mail in mails], model.linear)
    batch = [reading for reading, _ in read]
    predictions = newcomers(pack, model).join(model, batch, model.predict(batch))
    return [
        _together(mail, language, prediction, _of_parts(mail, language, model), model, pack)
        for mail, (_, language), prediction in zip(mails, read, predictions, strict=True)
    ]


def _of_parts(mail: _Read, language: Language, model: Model) -> list[Prediction]:
    """What its words say of each part of a longer mail, and of what is hidden in any. Of a mail in another language
    only the parts and lines count that are in one of ours: what our words say of the others is chance."""
    from worker.understanding.classifier import Reading
    from worker.understanding.features import readable
    from worker.understanding.language import read_all
    from worker.understanding.stretches import lines, stretches

    is_foreign = language.code == "other"
    own_words = mail.own_words if is_foreign or len(mail.own_words) > READ_AS_ONE else ""
    alone = lines(f"{mail.subject}\n{mail.own_words}") if is_foreign else ()
    parts = [readable("", part) for part in dict.fromkeys((*stretches(own_words, mail.hidden), *alone))]
    if is_foreign:
        batch = [reading for reading, found in read_all(parts, model.linear) if found.code != "other"]
    else:
        batch = [Reading(part, language.code) for part in parts]
    return model.by_words_alone.predict(batch)


def _together(
    mail: _Read,
    language: Language,
    prediction: Prediction,
    parts: Sequence[Prediction],
    model: Model,
    pack: RulePack,
) -> Understanding:
    by_rules = _by_rules(mail, language, pack)
    # A language that is none of ours, or looks so, makes the intent unknown; a reason seen in a part of ours stands.
    unknown = language.code == "other"
    found = {*by_rules.reasons}
    if not unknown:
        found.update(guessed_reasons(prediction, model.thresholds))
    found.update(reason for part in parts for reason in guessed_reasons(part, model.by_words_alone.thresholds))
    opinion = _opinion(prediction, mail.kind, pack, model.thresholds, unknown=unknown)
    return replace(
        by_rules,
        intent=opinion.intent,
        confidence=opinion.confidence,
        alternatives=opinion.alternatives,
        abstained=opinion.abstained,
        secondary=opinion.secondary,
        reasons=tuple(reason for reason in REASONS if reason in found),
        model=model.version,
    )


def _by_rules(mail: _Read, language: Language, pack: RulePack) -> Understanding:
    """What needs no model: ids, entities, and the reasons of the pack's own rules. The intent is unknown."""
    in_subject, in_body, in_hidden = map(national_ids.find, (mail.subject, mail.body, mail.hidden))
    fired = reasons.fired(pack, mail.subject, mail.body, language.code, mail.hidden)
    found = {reason for _, reason in fired} | ({"national_id"} if in_subject or in_body or in_hidden else set())
    return Understanding(
        language=language,
        intent=FALLBACK if FALLBACK in pack.intents else next(iter(pack.intents)),
        confidence=0.0,
        alternatives=(),
        abstained=True,
        secondary=(),
        reasons=tuple(reason for reason in REASONS if reason in found),
        entities=entities.find(
            pack, f"{mail.subject}\n{mail.body}", language.code, (*in_subject, *_moved(in_body, len(mail.subject) + 1))
        ),
        national_ids=(*in_subject, *in_body),
        model=NO_MODEL,
        rules_fired=tuple(name for name, _ in fired),
    )


def _moved(ids: Iterable[NationalId], by: int) -> Iterable[NationalId]:
    return (replace(one, start=one.start + by, end=one.end + by) for one in ids)


def guessed_reasons(prediction: Prediction, thresholds: Thresholds) -> tuple[str, ...]:
    """Whether there is any reason is asked first; then every likely one is named, at least the likeliest."""
    if prediction.must_verify < thresholds.must_verify:
        return ()
    likely = tuple(reason for reason, p in prediction.reasons.items() if p >= thresholds.reasons[reason])
    # Not the one nearest to its threshold: where nothing is likely, that is the rarest reason, and the gravest.
    return likely or (max(prediction.reasons, key=prediction.reasons.__getitem__),)


@dataclass(frozen=True, slots=True)
class _Opinion:
    intent: str
    confidence: float
    alternatives: tuple[Alternative, ...]
    abstained: bool
    secondary: tuple[str, ...]


def _opinion(
    prediction: Prediction, kind: MailKind, pack: RulePack, thresholds: Thresholds, *, unknown: bool
) -> _Opinion:
    shares = _shares(prediction, kind, pack)
    ranked = sorted(shares, key=shares.__getitem__, reverse=True)
    alternatives = tuple(Alternative(i, round(shares[i], 4)) for i in ranked[: MOST_ALTERNATIVES + 1])
    if unknown:
        intent = FALLBACK if FALLBACK in shares else ranked[0]
        # Never surer than somebody who did not read the mail.
        confidence = floor(10_000 * min(shares[intent], 1 / len(shares))) / 10_000
        others = tuple(one for one in alternatives if one.intent != intent)[:MOST_ALTERNATIVES]
        return _Opinion(intent, confidence, others, abstained=True, secondary=())
    sure = thresholds.sure if pack.threshold == "model" else pack.threshold
    return _Opinion(
        intent=ranked[0],
        confidence=round(shares[ranked[0]], 4),
        alternatives=alternatives[1:],
        abstained=prediction.is_strange or shares[ranked[0]] < sure,
        secondary=tuple(intent for intent in ranked[1:] if shares[intent] >= thresholds.secondary),
    )


def _shares(prediction: Prediction, kind: MailKind, pack: RulePack) -> dict[str, float]:
    """Probabilities of the pack's intents alone, with what the headers say taken in."""
    shares = {intent: prediction.intents.get(intent, 0.0) for intent in pack.intents}
    if NOT_A_RESIDENT in shares:
        shares[NOT_A_RESIDENT] *= AUTOMATIC_ODDS.get(kind, 1.0)
    total = sum(shares.values())
    return {intent: share / total if total else 1 / len(shares) for intent, share in shares.items()}


def _kind(mail: Text) -> MailKind:
    fields = [(name.lower(), value) for name, value in mail.headers.items()]
    headers = Headers((*fields, ("subject", mail.subject)))
    senders = addresses(Headers((("from", mail.sender),)), "from", [])
    content_type = headers.first("content-type").partition(";")[0].strip().lower() or "text/plain"
    return loops.kind(Tree(headers, content_type, {}, ()), senders[0] if senders else Mailbox("", ""), mail.body)
