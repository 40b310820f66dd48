"""The disclosure gate: which register fields a sender may be told by mail (TRUST: disclosure gate).

It acts on facts before anything is drafted, so what is withheld never reaches a phrase or a model.
"""

from __future__ import annotations

from dataclasses import dataclass

from rules.values import FieldClass, Sender


@dataclass(frozen=True, slots=True)
class Proof:
    """What is known about who asks: by our own mail server's verdict and by the record itself."""

    authenticated: bool
    on_file: bool
    suspicious: bool

    @classmethod
    def of(cls, sender: Sender, sender_address: str, address_on_file: str | None) -> Proof:
        """`address_on_file` is the address in that very record; None where the record has none."""
        same = bool(address_on_file) and fold(sender_address) == fold(address_on_file or "")
        return cls(authenticated=sender.verified, on_file=same, suspicious=bool(sender.suspicious))


def fold(address: str) -> str:
    """Addresses compare without outer space and the case of ASCII letters; nothing else is folded. Dots and +tags may
    be other people, and so may `straße` and `strasse`, which Unicode would fold into one."""
    return address.strip().encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def withheld_because(field_class: FieldClass, proof: Proof) -> str | None:
    """None when the field may be told, else one sentence why not."""
    match field_class:
        case FieldClass.PUBLIC:
            return None
        case FieldClass.ABOUT_OTHER:
            return "It is about somebody else."
        case FieldClass.PROTECTED:
            return "It is protected and never leaves by mail."
        case FieldClass.ABOUT_SENDER:
            return _about_sender(proof)


def _about_sender(proof: Proof) -> str | None:
    if proof.suspicious:
        return "The sender looks false."
    if not proof.authenticated:
        return "The sender is not proven by our own mail server."
    if not proof.on_file:
        return "The address is not the one on file for this record."
    return None
