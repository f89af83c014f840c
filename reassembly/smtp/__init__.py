"""SMTP in pieces: its grammar, the client's bytes that wait, the server's answers, the mail text."""
