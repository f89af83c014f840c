"""IMAP in pieces: its grammar, what a mail consists of, the sections that are fetched, compression."""
