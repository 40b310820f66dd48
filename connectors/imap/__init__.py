"""A shared inbox on an IMAP server, with SMTP for what leaves. `mailbox` has its settings and methods."""
