"""Every page: HTML, Markdown, and tables for the console."""
