"""Containers to members."""
