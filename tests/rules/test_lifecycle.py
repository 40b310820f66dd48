from __future__ import annotations

import itertools

import pytest

from rules.lifecycle import FOR_A_PERSON, IN_HAND, MOVES, IllegalMove, MailState, check_move


def test_every_state_has_its_moves_written_down() -> None:
    assert set(MOVES) == set(MailState)


@pytest.mark.parametrize(("before", "after"), list(itertools.product(MailState, MailState)))
def test_only_the_moves_in_the_table_can_happen(before: MailState, after: MailState) -> None:
    if after in MOVES[before]:
        check_move(before, after)
    else:
        with pytest.raises(IllegalMove):
            check_move(before, after)


def test_nothing_leaves_without_an_approval() -> None:
    """The only way into `sending` is from `approved`, and into `approved` from a person's waiting list or a retry."""
    assert [s for s in MailState if MailState.SENDING in MOVES[s]] == [MailState.APPROVED]
    assert {s for s in MailState if MailState.APPROVED in MOVES[s]} == {
        MailState.WAITING,
        MailState.SENDING,
        MailState.UNSURE,
    }


def test_a_sent_mail_stays_sent() -> None:
    assert not MOVES[MailState.SENT]


def test_from_every_state_a_mail_can_still_end() -> None:
    ends = {MailState.SENT, MailState.NO_REPLY}
    for state in MailState:
        reached, frontier = {state}, {state}
        while frontier:
            frontier = {after for one in frontier for after in MOVES[one]} - reached
            reached |= frontier
        assert reached & ends


def test_the_machine_and_people_share_no_state() -> None:
    assert not IN_HAND & FOR_A_PERSON
