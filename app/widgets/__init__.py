"""What the panes share: colours, labels, icons, dialogs, the language of the window."""
