"""Packets in: capture files now, the AF_PACKET ring later, decoded a batch at a time into columns."""
