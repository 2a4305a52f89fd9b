"""Floor 6: settings to concrete classes, arguments, exit codes."""
