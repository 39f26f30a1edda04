"""The widgets that panes share, and their colours, labels, icons, dialogs, the language of the window."""
