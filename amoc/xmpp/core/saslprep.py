"""The form in which user names and passwords are compared, and the error of all SASL mechanisms."""

import stringprep
import unicodedata

__all__ = ["SaslFailure", "saslprep"]


class SaslFailure(Exception):
    """The exchange failed. `condition` is a SASL error (RFC 6120, 6.5), `text` says what was wrong."""

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(condition, text)
        self.condition = condition
        self.text = text


def saslprep(text: str) -> str:
    """The form in which user names and passwords are compared (RFC 4013). Raises SaslFailure."""
    if text.isascii() and text.isprintable():
        return text
    text = "".join(" " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char))
    text = unicodedata.normalize("NFKC", text)
    prohibited = (
        stringprep.in_table_c12,
        stringprep.in_table_c21_c22,
        stringprep.in_table_c3,
        stringprep.in_table_c4,
        stringprep.in_table_c5,
        stringprep.in_table_c6,
        stringprep.in_table_c7,
        stringprep.in_table_c8,
        stringprep.in_table_c9,
    )
    if any(forbidden(char) for char in text for forbidden in prohibited):
        raise SaslFailure("malformed-request", "a character that user names and passwords cannot have")
    if any(map(stringprep.in_table_d1, text)) and (
        any(map(stringprep.in_table_d2, text))
        or not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1]))
    ):
        raise SaslFailure("malformed-request", "a mixture of writing directions (RFC 3454, 6)")
    return text
