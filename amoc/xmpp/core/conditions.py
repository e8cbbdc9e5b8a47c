"""The error conditions that RFC 6120 defines, so that what a server says can be counted by a bounded set of names."""

from typing import Final

__all__ = ["SASL_ERRORS", "STANZA_ERRORS", "STREAM_ERRORS"]

# RFC 6120, 4.9.3
STREAM_ERRORS: Final = frozenset(
    (
        "bad-format", "bad-namespace-prefix", "conflict", "connection-timeout", "host-gone", "host-unknown",
        "improper-addressing", "internal-server-error", "invalid-from", "invalid-namespace", "invalid-xml",
        "not-authorized", "not-well-formed", "policy-violation", "remote-connection-failed", "reset",
        "resource-constraint", "restricted-xml", "see-other-host", "system-shutdown", "undefined-condition",
        "unsupported-encoding", "unsupported-feature", "unsupported-stanza-type", "unsupported-version",
    )
)  # fmt: skip

# RFC 6120, 6.5
SASL_ERRORS: Final = frozenset(
    (
        "aborted", "account-disabled", "credentials-expired", "encryption-required", "incorrect-encoding",
        "invalid-authzid", "invalid-mechanism", "malformed-request", "mechanism-too-weak", "not-authorized",
        "temporary-auth-failure",
    )
)  # fmt: skip

# RFC 6120, 8.3.3
STANZA_ERRORS: Final = frozenset(
    (
        "bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error",
        "item-not-found", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized", "policy-violation",
        "recipient-unavailable", "redirect", "registration-required", "remote-server-not-found",
        "remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
        "undefined-condition", "unexpected-request",
    )
)  # fmt: skip
