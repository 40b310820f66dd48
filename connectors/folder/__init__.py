"""Mail in files: a folder of .eml, a Maildir, an mbox. `mailbox` has its settings and methods."""
