"""A shared inbox on an Exchange Server, through EWS. `mailbox` has its settings and methods."""
