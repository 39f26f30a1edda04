"""The application among others on this computer: one instance, notifications, reports, links."""
