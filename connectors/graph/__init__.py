"""A shared inbox in Microsoft 365, through Microsoft Graph. `mailbox` has its settings and methods."""
