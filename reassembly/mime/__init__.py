"""Mail and multipart bodies to parts: between the protocols that carry mail and the objects.

RFC 5322 (messages), RFC 2045 to 2047 and RFC 2231 (MIME).
"""

from reassembly.mime.message import Message, parts_of

__all__ = ["Message", "parts_of"]
