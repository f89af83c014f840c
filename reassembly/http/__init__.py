"""HTTP/1 taken apart: heads, framing, bodies and the many ways to read a broken message. Used by protocols/http1.py.

RFC 9110 (semantics), RFC 9112 (HTTP/1.1), RFC 1945 (HTTP/1.0 and 0.9).
"""
