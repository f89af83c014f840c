"""Packets to streams, streams to objects. Pure: no socket, no clock, no engine; the only files are spilled objects."""
