"""What the launch programs share: flags, one-line errors, exit statuses."""
