"""The client of Elasticsearch, made from the settings: addresses, who we are, whom we believe, the way there.

Secrets come from files or from the environment (`TAPSCAN_ELASTICSEARCH_API_KEY`, `TAPSCAN_ELASTICSEARCH_PASSWORD`),
never from the settings themselves. It tries nothing twice: who asks knows what may be repeated.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Any

from manager.options import Stop
from manager.secrets import secret
from manager.settings import ElasticsearchSettings

if TYPE_CHECKING:
    from elastic_transport import NodeConfig, Urllib3HttpNode
    from elasticsearch import Elasticsearch

KEY, PASSWORD = "TAPSCAN_ELASTICSEARCH_API_KEY", "TAPSCAN_ELASTICSEARCH_PASSWORD"


def client(settings: ElasticsearchSettings) -> Elasticsearch:
    """A client; it connects when it is used. Raises Stop when a secret or a certificate can't be had."""
    from elasticsearch import Elasticsearch  # 0.2 s

    logging.getLogger("elastic_transport.node_pool").setLevel(logging.ERROR)  # a line for each try that fails
    given: dict[str, Any] = {"max_retries": 0, "request_timeout": settings.timeout, "http_compress": settings.compress}
    given |= _identity(settings)
    if any(url.startswith("https:") for url in settings.urls):
        _certificates(settings)
        given |= {"verify_certs": settings.verify, "ssl_show_warn": False}
        if settings.ca_file:
            given["ca_certs"] = settings.ca_file
    if settings.proxy:
        given["node_class"] = _through(settings.proxy, settings)
    try:
        return Elasticsearch(list(settings.urls), **given)
    except (ValueError, TypeError) as error:
        raise Stop(f"elasticsearch.urls: {error}") from None


def _identity(settings: ElasticsearchSettings) -> dict[str, Any]:
    if key := secret("elasticsearch.api_key_file", settings.api_key_file, KEY):
        return {"api_key": key}
    if not settings.username:
        return {}
    password = secret("elasticsearch.password_file", settings.password_file, PASSWORD)
    if password is None:
        raise Stop(f"elasticsearch.username is given and no password: name a password_file, or set {PASSWORD}")
    return {"basic_auth": (settings.username, password)}


def _certificates(settings: ElasticsearchSettings) -> ssl.SSLContext:
    """Whom we believe. Raises Stop."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise Stop(f"elasticsearch.ca_file: {settings.ca_file}: {error.strerror or error.reason}") from None  # type: ignore[attr-defined]
    if not settings.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _through(proxy: str, settings: ElasticsearchSettings) -> type[Urllib3HttpNode]:
    """A kind of node that is reached through an HTTP proxy; the client has none of its own."""
    from elastic_transport import Urllib3HttpNode
    from urllib3 import BaseHTTPResponse, ProxyManager, Timeout

    class Manager(ProxyManager):
        """Has defaults for headers of a proxy, beside which those of the client in lower case would stand twice."""

        def urlopen(  # type: ignore[override]  # as in urllib3 itself
            self, method: str, url: str, redirect: bool = True, **more: Any
        ) -> BaseHTTPResponse:
            more["headers"] = {name.title(): value for name, value in more["headers"].items()}
            return super().urlopen(method, url, redirect, **more)

    class Proxied(Urllib3HttpNode):
        """urllib3 tells a proxy the whole address (http), or has it tunnel (https)."""

        def __init__(self, config: NodeConfig) -> None:
            super().__init__(config)
            more: dict[str, Any] = {"ssl_context": _certificates(settings)} if config.scheme == "https" else {}
            timeout = Timeout(total=config.request_timeout)
            many = config.connections_per_node
            self.pool: Any = Manager(proxy, timeout=timeout, maxsize=many, block=True, **more)
            self._path_prefix = self.base_url

        def close(self) -> None:
            self.pool.clear()

    return Proxied
